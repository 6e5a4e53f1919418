#include "client/outgoing.h"

#include <algorithm>
#include <cstring>

#include "nodebeat/result.h"

namespace nb::client {

// --- events -------------------------------------------------------------------------------------

// Moves everything behind `from` down by `by` bytes, over what was there.
void Outgoing::shift(size_t from, size_t by) {
  std::memmove(memory_.events + from - by, memory_.events + from, tail_ - from);
  for (size_t* at : {&head_, &line_begin_, &tail_, &last_begin_, &robot_.mark, &stroke_.mark,
                     &call_begin_, &call_end_}) {
    if (*at >= from && *at != kNone) *at -= by;
  }
}

bool Outgoing::make_room() {
  if (line_begin_ == 0) return false;
  const size_t begin = line_begin_;
  for (Slot* slot : {&robot_, &stroke_}) slot->mark = std::max(slot->mark, begin);
  shift(begin, begin);
  return true;
}

void Outgoing::drop_call() {
  if (call_begin_ == kNone || head_ > call_begin_) return;
  const size_t end = call_end_;
  const size_t size = call_end_ - call_begin_;
  call_begin_ = call_end_ = kNone;
  shift(end, size);
}

// --- slots --------------------------------------------------------------------------------------

void Outgoing::keep(Slot& slot, uint32_t members) {
  if (slot.kept) {
    ++coalesced_;
  } else {
    slot.kept = true;
    slot.members = 0;
    slot.mark = tail_;
  }
  slot.members |= members;
  slot.written = false;
}

int Outgoing::put_robot(const nb_robot_state& state) {
  if (robot_values_.bound_with(state) > std::min(memory_.slot_bytes, most_line())) {
    return NB_ERR_TOO_LARGE;
  }
  robot_values_.merge(state);
  keep(robot_, state.has);
  return NB_OK;
}

int Outgoing::put_progress(const nb_stroke& stroke) {
  const size_t bound =
      stroke_.closed ? StrokeValues::bound(stroke) : stroke_values_.bound_with(stroke);
  if (bound > std::min(memory_.slot_bytes, most_line())) return NB_ERR_TOO_LARGE;
  if (stroke_.closed) {
    if (stroke_.kept) ++coalesced_;
    stroke_.kept = stroke_.closed = false;
    stroke_values_.clear();
  }
  stroke_values_.merge(stroke);
  keep(stroke_, stroke.has);
  return NB_OK;
}

// A start or an end closes the progress before it. If such progress waits, it becomes a line of its
// own among the events. If there is no room for both lines, it stays in its slot.
template <class Write>
int Outgoing::put_stroke_event(Write&& write) {
  // Progress that is too long for this agent does not become an event.
  if (limit_known_ && limit_ < rpc::kLineBytes) write_slots();
  if (stroke_.kept && !stroke_.closed) {
    const int both = put(kTwoLines, [&](LineWriter& out) {
      stroke_values_.write(out, stroke_.members);
      write(out);
    });
    if (both == NB_OK) {
      stroke_.kept = false;
      stroke_.closed = true;
      return NB_OK;
    }
  }
  const int result = put(kLine, write);
  if (result == NB_OK) stroke_.closed = true;
  return result;
}

int Outgoing::put_start(const nb_stroke& stroke) {
  if (StrokeValues::bound(stroke) > most_line()) return NB_ERR_TOO_LARGE;
  return put_stroke_event([&](LineWriter& out) { StrokeValues::write_start(out, stroke); });
}

int Outgoing::put_end() {
  return put_stroke_event(
      [](LineWriter& out) { out.raw("{\"jsonrpc\":\"2.0\",\"method\":\"stroke.end\"}\n"); });
}

void Outgoing::write_slots() {
  if (robot_.kept && !robot_.written) {
    LineWriter out(memory_.robot_line, memory_.slot_bytes);
    robot_values_.write(out, robot_.members);
    robot_.size = out.size();
    robot_.written = true;
    drop_if_long(robot_);
  }
  if (stroke_.kept && !stroke_.written) {
    LineWriter out(memory_.stroke_line, memory_.slot_bytes);
    stroke_values_.write(out, stroke_.members);
    stroke_.size = out.size();
    stroke_.written = true;
    drop_if_long(stroke_);
  }
}

// This happens only after a reconnect to an agent that takes shorter lines than the one before.
void Outgoing::drop_if_long(Slot& slot) {
  if (!limit_known_ || fits_limit(slot.size)) return;
  slot.kept = false;
  ++dropped_;
}

// --- the limit ----------------------------------------------------------------------------------

void Outgoing::set_line_limit(size_t bytes) {
  // A line of kLeastLineBytes may have been sent already, so no limit is smaller.
  limit_ = std::clamp(bytes, rpc::kLeastLineBytes, rpc::kLineBytes);
  limit_known_ = true;
  for (Slot* slot : {&robot_, &stroke_}) {
    if (slot->kept && slot->written) drop_if_long(*slot);
  }
  if (!may_have_long_) return;
  may_have_long_ = false;
  size_t begin = line_begin_;
  while (begin < tail_) {
    const char* const at = memory_.events + begin;
    const auto* const newline = static_cast<const char*>(std::memchr(at, '\n', tail_ - begin));
    const auto size = static_cast<size_t>(newline - at) + 1;
    if (fits_limit(size)) {
      begin += size;
      continue;
    }
    shift(begin + size, size);
    ++dropped_;
  }
}

// How far the greeting may be sent now. A will that this agent does not take is left out.
size_t Outgoing::greeting_end() {
  if (greeting_at_ > will_begin_ || fits_limit(will_end_ - will_begin_)) return greeting_size_;
  if (limit_known_ && greeting_at_ == will_begin_) {
    greeting_at_ = will_end_;
    ++dropped_;
    return greeting_size_;
  }
  return will_begin_;
}

// How far the events may be sent now.
size_t Outgoing::events_end() const {
  if (limit_known_ || !may_have_long_) return tail_;
  size_t begin = line_begin_;
  while (begin < tail_) {
    const char* const at = memory_.events + begin;
    const auto* const newline = static_cast<const char*>(std::memchr(at, '\n', tail_ - begin));
    const auto size = static_cast<size_t>(newline - at) + 1;
    if (!fits_limit(size)) break;
    begin += size;
  }
  return begin;
}

// --- sending ------------------------------------------------------------------------------------

size_t Outgoing::gather(iovec* pieces) {
  plan_count_ = 0;
  const auto add = [&](Piece piece, char* begin, size_t size) {
    if (size == 0) return;
    pieces[plan_count_] = {begin, size};
    plan_[plan_count_] = piece;
    plan_size_[plan_count_++] = size;
  };
  write_slots();
  add(kRest, memory_.rest + rest_at_, rest_size_ - rest_at_);
  const size_t greeting_to = greeting_end();
  add(kGreeting, memory_.greeting + greeting_at_, greeting_to - greeting_at_);
  if (greeting_to < greeting_size_) return plan_count_;
  size_t at = head_;
  const size_t end = events_end();
  bool stopped = false;
  const auto add_slot = [&](const Slot& slot, Piece piece, char* line) {
    if (!slot.kept || stopped) return;
    if (slot.mark > at) {
      const size_t to = std::min(slot.mark, end);
      add(kEvents, memory_.events + at, to - at);
      at = to;
    }
    stopped = slot.mark > end || !fits_limit(slot.size);
    if (!stopped) add(piece, line, slot.size);
  };
  const bool robot_first = robot_.mark <= stroke_.mark;
  if (robot_first) add_slot(robot_, kRobot, memory_.robot_line);
  add_slot(stroke_, kStroke, memory_.stroke_line);
  if (!robot_first) add_slot(robot_, kRobot, memory_.robot_line);
  if (!stopped) add(kEvents, memory_.events + at, end - at);
  return plan_count_;
}

void Outgoing::take_slot(Slot& slot, const char* line, size_t size) {
  slot.kept = false;
  if (size == slot.size) {
    ++lines_sent_;
    return;
  }
  rest_at_ = 0;
  rest_size_ = slot.size - size;
  rest_is_progress_ = &slot == &stroke_;
  std::memcpy(memory_.rest, line + size, rest_size_);
}

void Outgoing::take_events(size_t size) {
  const size_t end = head_ + size;
  while (const void* newline = std::memchr(memory_.events + head_, '\n', end - head_)) {
    head_ = line_begin_ =
        static_cast<size_t>(static_cast<const char*>(newline) - memory_.events) + 1;
    ++lines_sent_;
  }
  head_ = end;
  if (call_end_ != kNone && head_ >= call_end_) {
    call_begin_ = call_end_ = kNone;
    call_sent_ = true;
  }
}

void Outgoing::taken(size_t size) {
  for (size_t i = 0; i < plan_count_ && size > 0; ++i) {
    const size_t part = std::min(size, plan_size_[i]);
    size -= part;
    switch (plan_[i]) {
      case kRest:
        rest_at_ += part;
        if (rest_at_ == rest_size_) {
          rest_at_ = rest_size_ = 0;
          ++lines_sent_;
        }
        break;
      case kGreeting:
        greeting_at_ += part;
        break;
      case kEvents:
        take_events(part);
        break;
      case kRobot:
        take_slot(robot_, memory_.robot_line, part);
        break;
      case kStroke:
        take_slot(stroke_, memory_.stroke_line, part);
        break;
    }
  }
  plan_count_ = 0;
  if (line_begin_ == tail_) {
    line_begin_ = head_ = tail_ = robot_.mark = stroke_.mark = 0;
    may_have_long_ = false;
  }
}

void Outgoing::again(Slot& slot, uint32_t known) {
  if (known == 0) return;
  if (!slot.kept) slot.mark = line_begin_;
  slot.kept = true;
  slot.members = known;
  slot.written = false;
}

void Outgoing::rewind() {
  const bool torn_progress = rest_is_progress_ && rest_at_ < rest_size_;
  rest_at_ = rest_size_ = 0;
  greeting_at_ = 0;
  head_ = line_begin_;
  limit_known_ = false;  // the next agent may have another
  may_have_long_ = true;
  drop_call();
  again(robot_, robot_values_.known());
  // The progress of a session that is over is sent again only if its line was sent in part.
  if (!stroke_.closed || torn_progress) again(stroke_, stroke_values_.known());
}

bool Outgoing::empty() const {
  return rest_at_ == rest_size_ && !greeting_waits() && head_ == tail_ && !robot_.kept &&
         !stroke_.kept;
}

bool Outgoing::can_send() {
  iovec pieces[kMaxPieces];
  return gather(pieces) > 0;
}

size_t Outgoing::waiting_bytes() {
  write_slots();
  return rest_size_ - rest_at_ + tail_ - head_ + (robot_.kept ? robot_.size : 0) +
         (stroke_.kept ? stroke_.size : 0);
}

bool Outgoing::in_mid_line() const {
  return rest_at_ < rest_size_ || head_ != line_begin_ || (greeting_waits() && greeting_at_ > 0);
}

// --- the greeting -------------------------------------------------------------------------------

void Outgoing::write_subscription(LineWriter& out, std::string_view method,
                                  std::string_view channel, bool pattern) {
  out.raw(R"({"jsonrpc":"2.0","method":")");
  out.raw(method);
  out.raw(pattern ? R"(","params":{"patterns":[)" : R"(","params":{"channels":[)");
  out.string(channel);
  out.raw("]}");
}

// Where its line begins in the greeting, or kNone.
size_t Outgoing::find_subscription(std::string_view channel, bool pattern, size_t& size) const {
  char wanted[kMaxSubscription];
  LineWriter line(wanted, sizeof wanted);
  write_subscription(line, "event.subscribe", channel, pattern);
  line.raw("}\n");
  size = line.size();
  for (size_t at = will_end_; at < greeting_size_;) {
    const char* const begin = memory_.greeting + at;
    const auto* const end = static_cast<const char*>(std::memchr(begin, '\n', greeting_size_ - at));
    const auto length = static_cast<size_t>(end - begin) + 1;
    if (length == size && std::memcmp(begin, wanted, size) == 0) return at;
    at += length;
  }
  return kNone;
}

bool Outgoing::has_subscription(std::string_view channel, bool pattern) const {
  size_t size = 0;
  return find_subscription(channel, pattern, size) != kNone;
}

bool Outgoing::add_subscription(std::string_view channel, bool pattern) {
  if (has_subscription(channel, pattern)) return true;
  if (subscriptions_ == kMaxSubscriptions) return false;
  LineWriter line(memory_.greeting + greeting_size_, memory_.greeting_bytes - greeting_size_);
  write_subscription(line, "event.subscribe", channel, pattern);
  line.raw("}\n");
  if (!line.fits()) return false;
  const bool sent = !greeting_waits();
  greeting_size_ += line.size();
  if (sent) greeting_at_ = greeting_size_;
  ++subscriptions_;
  return true;
}

void Outgoing::remove_subscription(std::string_view channel, bool pattern) {
  size_t size = 0;
  const size_t at = find_subscription(channel, pattern, size);
  if (at == kNone) return;
  if (greeting_at_ > at && greeting_at_ < at + size) {
    // A part of its line was sent, and the rest must follow. No slot's rest can be in that place,
    // since the greeting is sent before all slots.
    rest_at_ = 0;
    rest_size_ = at + size - greeting_at_;
    rest_is_progress_ = false;
    std::memcpy(memory_.rest, memory_.greeting + greeting_at_, rest_size_);
    greeting_at_ = at;
  } else if (greeting_at_ >= at + size) {
    greeting_at_ -= size;
  }
  std::memmove(memory_.greeting + at, memory_.greeting + at + size, greeting_size_ - at - size);
  greeting_size_ -= size;
  --subscriptions_;
}

}  // namespace nb::client
