#include "client/client.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "client/now.h"
#include "rpc/line_limits.h"

namespace nb::client {
namespace {

// The limit of a push's read, and of the lines that it handles. A control loop has no time for
// more.
constexpr size_t kDrainBytes = 4096;

}  // namespace

// --- one step, with the mutex -------------------------------------------------------------------

void Client::step() {
  switch (link_.state()) {
    case Link::State::up:
      if (drain_next_ && !reading_) {
        drain_next_ = false;
        drain();
      } else if (!send() && !reading_ && !outgoing_.empty()) {
        drain();  // the answer to the hello is waited for
      }
      return;
    case Link::State::broken:
      // The agent may have given its reason ("busy", "forbidden"). If there is a reader, the reader
      // handles it.
      if (!reading_) {
        drain();
        if (link_.state() == Link::State::broken) link_.drop();
      }
      return;
    case Link::State::down:
      break;
  }
  (void)connect();
}

// True if there may be more to do at once.
bool Client::connect() {
  switch (link_.advance(now_ns())) {
    case Link::Step::connected:
      ++connection_;
      return true;
    case Link::Step::failed:
      trouble_ = Trouble::connect;
      trouble_errno_ = link_.error();
      return false;
    case Link::Step::busy:
      return true;
    case Link::Step::idle:
      break;
  }
  return false;
}

// False if there was nothing that could go: no call was made.
bool Client::send() {
  iovec pieces[Outgoing::kMaxPieces];
  const size_t count = outgoing_.gather(pieces);
  count_dropped();
  if (count == 0) return false;
  const ptrdiff_t sent = link_.send(pieces, count);
  if (sent < 0) {
    lost(Trouble::lost, link_.error());
    return true;
  }
  outgoing_.taken(static_cast<size_t>(sent));
  drain_next_ = !outgoing_.empty();
  return true;
}

// Counts messages that were kept for an agent that turned out to take shorter lines.
void Client::count_dropped() {
  const unsigned dropped = outgoing_.take_dropped();
  if (dropped == 0) return;
  rejected_ += dropped;
  trouble_ = Trouble::dropped;
}

// One read by a client that only pushes. If the agent does not accept data, the agent may be
// waiting until this client reads (PROTOCOL.md, 1.7).
void Client::drain() {
  if (reading_) return;
  if (read_from_ != connection_) {
    incoming_.clear();
    read_from_ = connection_;
  }
  size_t room = 0;
  char* const buffer = incoming_.room(room);
  if (room == 0) return;  // messages for on_event: a subscriber has to dispatch
  const ptrdiff_t n = link_.receive(buffer, std::min(room, kDrainBytes));
  if (n < 0) {
    if (link_.up()) lost(link_.error() == 0 ? Trouble::closed : Trouble::lost, link_.error());
    link_.drop();
    return;
  }
  incoming_.added(static_cast<size_t>(n));
  read_errors();
}

// Takes the lines that a push may take: refusals, and answers without a waiting caller. Stops at
// the first line that only the dispatcher may take.
void Client::read_errors() {
  size_t size = 0;
  while (char* const line = incoming_.line(size)) {
    // read_message() changes the line, and a line that stays has to be read again.
    if (on_event_ != nullptr && read_head({line, size}).event) return;
    if (size <= kDrainBytes) {  // no refusal is longer
      const Message message = read_message(line, size);
      if (message.kind == Message::Kind::rubbish) {
        trouble_ = Trouble::rubbish;
      } else if (message.kind == Message::Kind::refusal || message.kind == Message::Kind::failure) {
        refused(message);
      } else {
        greeted(message);
      }
    }
    incoming_.drop_line();
  }
  if (incoming_.overlong()) {
    // The dispatcher may have more room for this line.
    if (on_event_ != nullptr && incoming_.size() < most_input_bytes_ &&
        read_head(incoming_.held()).event) {
      return;
    }
    incoming_.skip_line();
    trouble_ = Trouble::overlong;
  }
}

void Client::lost(Trouble trouble, int error) {
  if (!link_.up()) return;
  link_.set_broken();
  outgoing_.rewind();
  drain_next_ = false;
  ++disconnects_;
  if (was_told(connection_)) return;  // the agent's reason is more precise than the lost connection
  trouble_ = trouble;
  trouble_errno_ = error;
}

// With the mutex. Takes the limits from the answer to this connection's hello. An agent that names
// no limits, or refuses the hello, has the usual ones.
void Client::greeted(const Message& message) {
  if (message.id != kHelloId || !link_.up() || read_from_ != connection_) return;
  const bool told = message.kind == Message::Kind::result;
  if (!told && message.kind != Message::Kind::failure) return;
  const Greeting greeting = told ? read_greeting({message.json, message.json_size}) : Greeting();
  outgoing_.set_line_limit(greeting.line_bytes != 0 ? greeting.line_bytes : rpc::kLineBytes);
  count_dropped();
  if (greeting.protocol == kProtocol) return;
  trouble_ = Trouble::protocol;
  agent_protocol_ = greeting.protocol;
}

void Client::refused(const Message& message) {
  // An agent of the first version does not know the parameter, and sends long lines unasked.
  if (message.kind == Message::Kind::failure && message.id == kLineBytesId) return;
  greeted(message);
  rejected_ += static_cast<uint64_t>(std::max<int64_t>(message.count, 1));
  trouble_ = Trouble::remote;
  if (message.ends) ended_by_words_ = read_from_;
  remote_code_ = message.code;
  remote_size_ = 0;
  const auto append = [&](std::string_view part) {
    if (part.empty()) return;
    const size_t size = std::min(part.size(), sizeof remote_text_ - remote_size_);
    std::memcpy(remote_text_ + remote_size_, part.data(), size);
    remote_size_ += size;
  };
  const bool hello =
      message.kind == Message::Kind::failure && message.id <= kHelloId && message.id >= kDeadlineId;
  if (const std::string_view method = hello ? "client.hello" : message.method; !method.empty()) {
    append(method);
    append(": ");
  }
  append(message.text);
  remote_size_ = make_harmless(remote_text_, remote_size_);
}

// --- pushes -------------------------------------------------------------------------------------

int Client::took(int result, bool waits) {
  if (result != NB_OK) {
    if (result == NB_ERR_FULL) ++full_;
    if (result == NB_ERR_TOO_LARGE) trouble_ = Trouble::too_large;
    return result;
  }
  ++pushed_;
  if (!waits) return NB_OK;
  ++kept_;
  return NB_KEPT;
}

void Client::note_too_large() {
  const Lock lock(*this);
  trouble_ = Trouble::too_large;
}

int Client::push_robot(const nb_robot_state& state) {
  const Lock lock(*this);
  const int result = outgoing_.put_robot(state);
  if (result == NB_OK) step();
  return took(result, outgoing_.robot_waits());
}

int Client::push_progress(const nb_stroke& stroke) {
  const Lock lock(*this);
  const int result = outgoing_.put_progress(stroke);
  if (result == NB_OK) step();
  return took(result, outgoing_.progress_waits());
}

// If there is no room for an event, the push's one system call may make room; otherwise that call
// sends the event.
template <class Put>
int Client::push_ordered(Put&& put) {
  const Lock lock(*this);
  int result = put();
  if (result == NB_ERR_FULL) {
    step();
    result = put();
  } else if (result == NB_OK) {
    step();
  }
  return took(result, outgoing_.events_wait());
}

int Client::push_start(const nb_stroke& stroke) {
  return push_ordered([&] { return outgoing_.put_start(stroke); });
}

int Client::push_end() {
  return push_ordered([&] { return outgoing_.put_end(); });
}

int Client::push_event(WriteLine write, const void* context) {
  return push_ordered(
      [&] { return outgoing_.put_event([&](LineWriter& out) { write(out, context); }); });
}

// --- reading ------------------------------------------------------------------------------------

bool Client::take_role() {
  const Lock lock(*this);
  if (reading_) return false;
  reading_ = true;
  return true;
}

void Client::leave_role() {
  const Lock lock(*this);
  reading_ = false;
}

void Client::handle(const Message& message) {
  switch (message.kind) {
    case Message::Kind::event:
    case Message::Kind::gap: {
      {
        const Lock lock(*this);
        ++events_;
      }
      if (on_event_ == nullptr) return;
      ++delivered_;
      on_event_(user_, message.channel, message.json, message.flags);
      return;
    }
    case Message::Kind::result: {
      if (message.id == kHelloId) {
        const Lock lock(*this);
        greeted(message);
      }
      answer(message);
      return;
    }
    case Message::Kind::failure:
    case Message::Kind::refusal: {
      {
        const Lock lock(*this);
        refused(message);
      }
      if (message.kind == Message::Kind::failure) answer(message);
      return;
    }
    case Message::Kind::rubbish: {
      // The line is only skipped: closing the connection would carry out the will of a living
      // robot.
      const Lock lock(*this);
      trouble_ = Trouble::rubbish;
      return;
    }
    case Message::Kind::other:
      return;
  }
}

void Client::answer(const Message& message) {
  if (pending_.id == 0 || pending_.answered || message.id != pending_.id) return;
  pending_.answered = true;
  if (pending_.session != nullptr) {
    pending_.outcome = pending_.session->take(message);
  } else if (message.kind == Message::Kind::failure) {
    pending_.outcome = result_of_refusal(message.code);
  } else if (pending_.result == nullptr) {
    pending_.outcome = NB_OK;
  } else if (message.json_size >= pending_.size) {
    pending_.outcome = NB_ERR_TOO_LARGE;
  } else {
    std::memcpy(pending_.result, message.json, message.json_size + 1);
    pending_.outcome = NB_OK;
  }
}

void Client::read_lines() {
  size_t size = 0;
  while (char* const line = incoming_.line(size)) {
    handle(read_message(line, size));
    incoming_.drop_line();
  }
  if (grown_ != nullptr && incoming_.empty()) {
    incoming_.move_to(input_, kInputBytes);
    std::free(grown_);
    grown_ = nullptr;
  }
  if (incoming_.overlong()) {
    if (grow_input()) return;
    // No caller has room for an answer that long.
    answer({.kind = Message::Kind::result,
            .id = read_head(incoming_.held()).id,
            .json_size = SIZE_MAX});
    incoming_.skip_line();
    const Lock lock(*this);
    trouble_ = Trouble::overlong;
  }
}

// Doubles the room for a line that does not fit. False if the line is longer than was agreed, or if
// there is no memory.
bool Client::grow_input() {
  const size_t size = std::min(2 * incoming_.size(), most_input_bytes_);
  if (size <= incoming_.size()) return false;
  auto* const bigger = static_cast<char*>(std::malloc(size));
  if (bigger == nullptr) return false;
  incoming_.move_to(bigger, size);
  std::free(grown_);
  grown_ = bigger;
  return true;
}

// Does everything that can be done now.
void Client::turn() {
  read_lines();
  for (int reads = 0; reads < kReadsPerTurn;) {
    bool more = false;
    {
      const Lock lock(*this);
      if (link_.state() == Link::State::down) {
        if (!connect()) return;
        continue;
      }
      if (read_from_ != connection_) {
        incoming_.clear();
        read_from_ = connection_;
      }
      if (link_.up()) (void)send();
      size_t room = 0;
      char* const buffer = incoming_.room(room);
      const ptrdiff_t n = link_.receive(buffer, room);
      ++reads;
      if (n > 0) {
        incoming_.added(static_cast<size_t>(n));
        more = true;
      } else if (n < 0) {
        lost(link_.error() == 0 ? Trouble::closed : Trouble::lost, link_.error());
        link_.drop();
        continue;
      } else if (link_.state() == Link::State::broken) {
        link_.drop();
        continue;
      }
    }
    if (!more) return;
    read_lines();
    if (pending_.answered) return;  // the waiting caller is told without one more read
  }
}

int Client::dispatch() {
  const NoCancel no_cancel;
  if (!take_role()) return NB_ERR_STATE;
  turn();
  const Lock lock(*this);
  reading_ = false;
  if (!link_.up()) return NB_ERR_AWAY;
  return outgoing_.empty() ? NB_OK : NB_KEPT;
}

}  // namespace nb::client
