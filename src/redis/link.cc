#include "redis/link.h"

#include <algorithm>
#include <cassert>
#include <functional>
#include <utility>

#include "base/text.h"

namespace nb::redis {
namespace {

// So many updates in one turn are worth a write of their own, unless as many more are under way.
constexpr size_t kEarlyWakes = 16;
constexpr size_t kBusyUnits = 64;
// Whoever asks more has to wait himself.
constexpr size_t kMaxQueries = 4096;

long long ms(Duration duration) {
  return std::chrono::ceil<std::chrono::milliseconds>(duration).count();
}

std::string in_words(Trouble trouble, std::string_view details) {
  const std::string_view text = words(trouble);
  return format("%.*s (%.*s)", static_cast<int>(text.size()), text.data(),
                static_cast<int>(details.size()), details.data());
}

Trouble own_trouble(std::string_view refusal) {
  const Trouble trouble = classify(refusal);
  return trouble == Trouble::none ? Trouble::refused : trouble;
}

LinkMachine make_machine(const LinkOptions& options) {
  return LinkMachine(Backoff(options.backoff, Random::from_system()), options.stable_after);
}

}  // namespace

bool same_way(const LinkOptions& a, const LinkOptions& b) {
  return a.target.host == b.target.host && a.target.port == b.target.port &&
         a.target.unix_path == b.target.unix_path && a.greeting.user == b.greeting.user &&
         a.greeting.password == b.greeting.password &&
         a.greeting.client_name == b.greeting.client_name &&
         a.greeting.databases == b.greeting.databases && a.max_reply_bytes == b.max_reply_bytes;
}

Link::Link(uv::Loop& loop, const Log& log, outbox::Outbox& outbox, LinkOptions options,
           LinkEvents events, MakeTransport make_transport)
    : loop_(loop),
      log_(log),
      outbox_(outbox),
      options_(std::move(options)),
      events_(events),
      make_transport_(make_transport),
      machine_(make_machine(options_)),
      retry_(loop, Delegate<void()>::to<&Link::try_to_connect>(this)),
      check_(loop, Delegate<void()>::to<&Link::on_check>(this)),
      turn_(loop, Delegate<void()>::to<&Link::on_turn>(this)),
      nudge_(loop, Delegate<void()>::to<&Link::on_turn>(this)),
      finish_deadline_(loop, Delegate<void()>::to<&Link::on_finish_deadline>(this)) {}

void Link::start() {
  machine_.start();
  retry_.start(Duration::zero());
}

void Link::wake() {
  if (++wakes_ >= kEarlyWakes) send_early();
  if (nudge_.active()) return;  // nobody has slept since
  turn_.start();
  // Called from another's prepare callback, ours may have had its turn: the loop must not wait
  // then.
  nudge_.start(Duration::zero());
}

void Link::try_to_connect() {
  if (!transport_) {
    transport_ = make_transport_(loop_, {Delegate<void(uv::DialStage)>::to<&Link::on_stage>(this),
                                         Delegate<void(Status&)>::to<&Link::on_connected>(this),
                                         Delegate<void(std::string_view)>::to<&Link::on_data>(this),
                                         Delegate<void(std::string_view)>::to<&Link::on_end>(this),
                                         Delegate<void()>::to<&Link::on_drain>(this)});
  }
  transport_->connect(options_.target, options_.connect_timeout);
}

void Link::on_stage(uv::DialStage stage) {
  enter(stage == uv::DialStage::resolving ? LinkState::resolving : LinkState::connecting);
}

void Link::on_connected(Status& status) {
  if (!status) {
    // Kept for the next try: the look-up of the name may hang, and one thread that does is enough.
    std::unique_ptr<Transport> kept = std::move(transport_);
    fail(Trouble::unreachable, status.error().message);
    transport_ = std::move(kept);
    return;
  }
  enter(LinkState::greeting);
  const MonoTime now = loop_.now();
  PipelineSink& sink = *this;
  pipeline_.emplace(sink, options_.max_reply_bytes);
  pipeline_->greet(options_.greeting, now);
  last_heard_ = last_ping_ = now;
  flush();
}

void Link::on_greeted() {
  // First: whoever hears of the new state may ask something, which sends what waits before it.
  outbox_.connection_opened();
  enter(LinkState::replaying);
  wake();
}

void Link::on_pong(Duration round_trip) {
  status_.round_trip = round_trip;
}

void Link::on_settled(const outbox::Unit& unit, const UnitResult& result) {
  const outbox::Refusals& refusals = result.refusals;
  const bool has_entry = unit.record != nullptr && unit.record->has_entry;
  const bool own = unit.slot != nullptr && unit.slot->echo;
  if (refusals.any() && first_refusal_.empty()) first_refusal_ = refusals.words();
  confirmed_ |= (unit.slot != nullptr && refusals.value.empty()) ||
                (has_entry && refusals.entry.empty()) || (unit.publish && refusals.message.empty());
  if (own) {
    beat_settled_ = true;
    note_own(kHealth, refusals.value);
    if (refusals.value.empty()) {
      events_.on_slot_stored(*unit.slot, result.echo);
      if (has_entry) note_own(kHistory, refusals.entry);
      if (unit.publish) note_own(kMessages, refusals.message);
      if (has_entry || unit.publish) note_own(kTransaction, result.no_transaction);
    }
  } else {
    // What goes with a refused part is refused with its words: those are said once.
    const bool message = !refusals.message.empty();
    if (!refusals.value.empty()) {
      say_refusal(result.value_command, unit.slot->key, refusals.value);
    } else if (message) {
      say_refusal(Command::publish, unit.publish ? unit.message().channel : "an event",
                  refusals.message);
    }
    if (refusals.value.empty() && !refusals.entry.empty() && refusals.entry != refusals.message) {
      say_refusal(Command::xadd, unit.record->entry().stream, refusals.entry);
    }
  }
  outbox_.settled(unit, last_heard_, result.subscribers, refusals, result.echo.existed);
}

// The same refusal comes at each call, of any client. It is logged once for each command and error,
// with the first few keys or channels that it was about: somebody looks for his own. Whoever made
// the call is told each time.
void Link::say_refusal(Command command, std::string_view what, std::string_view words) {
  constexpr size_t kNamed = 4;
  const unsigned number = refusal_number(words).value_or(0);
  const size_t key = std::hash<std::string_view>{}(what);
  size_t named = 0;
  for (const Said& said : said_) {
    if (said.command != command || said.number != number) continue;
    if (said.key == key || ++named == kNamed) return;
  }
  said_.push_back({command, number, key});
  const std::string_view name = redis::name(command);
  log_.error("redis refuses %.*s: %.*s (%.*s; said once%s, agent.stats counts all)",
             static_cast<int>(what.size()), what.data(), static_cast<int>(words.size()),
             words.data(), static_cast<int>(name.size()), name.data(),
             named + 1 == kNamed ? ", and of no further key or channel" : "");
}

void Link::note_own(OwnPart part, std::string_view words) {
  constexpr std::array<const char*, kOwnParts> kNames = {
      "this node's health", "this node's history", "messages on this node's channel",
      "what belongs together as one transaction"};
  std::string& known = own_refusals_[part];
  if (known == words) return;
  const bool news = refusal_number(known) != refusal_number(words);
  known = words;
  if (!news) return;
  const std::string target = describe(options_.target);
  if (words.empty()) {
    log_.notice("redis %s: takes %s again", target.c_str(), kNames[part]);
  } else {
    const std::string_view why = redis::words(own_trouble(words));
    log_.error("redis %s: refuses %s: %.*s (%.*s)%s", target.c_str(), kNames[part],
               static_cast<int>(why.size()), why.data(), static_cast<int>(words.size()),
               words.data(), part == kHealth ? "; trying again with each beat" : "");
  }
}

void Link::on_data(std::string_view bytes) {
  last_heard_ = loop_.now();
  if (const auto failure = pipeline_->feed(bytes, last_heard_)) {
    return fail(failure->trouble, failure->words);
  }
  settle_state();
  if (const auto took = pipeline_->take_last_unit_time()) {
    window_.on_answers(*took, window_was_full_);
  }
  // There may be room for more units; and if all is stored, somebody may wait for that.
  wake();
}

void Link::on_end(std::string_view why) {
  fail(Trouble::closed, why);
}

// Once a turn, before the loop waits: what the turn has gathered goes out in one write.
void Link::on_turn() {
  turn_.stop();
  nudge_.stop();
  // Nothing to wait for; a try that is under way may still come through before the deadline.
  if (finishing_ && machine_.state() <= LinkState::waiting) {
    finish_deadline_.start(Duration::zero());
  }
  if (machine_.state() < LinkState::replaying) return;
  send_units();
  settle_state();
  if (finishing_ && outbox_.drained()) finish_deadline_.start(Duration::zero());
  flush();
}

// In the middle of a turn that brings many: a server that has little to do works on the first while
// the rest are still being read. One that is busy is better served by one large write a turn.
void Link::send_early() {
  wakes_ = 0;
  if (machine_.state() < LinkState::steady || pipeline_->waiting_units() >= kBusyUnits) return;
  send_units();
  // Not fail(): whoever fills the outbox is not told of a lost connection in between.
  if (early_write_.ok() && !pipeline_->output().empty()) {
    early_write_ = transport_->write(pipeline_->output());
  }
}

void Link::send_units() {
  // Asked again by somebody who has just heard that an event was dropped: what was taken out of the
  // outbox must be on its way before the next.
  if (std::exchange(sending_, true)) return;
  const MonoTime now = loop_.now();
  const WallTime wall = loop_.clock().wall_now();
  outbox::Unit unit;
  while (pipeline_->waiting_units() < window_.units() &&
         pipeline_->output().size() + transport_->queued_bytes() < options_.max_output_bytes &&
         outbox_.next(unit, now, wall)) {
    // The round trip that a beat reports should be a fresh one; here a PING costs no wake-up.
    if (now - last_ping_ >= options_.ping_after && !pipeline_->ping_under_way()) {
      pipeline_->ping(now);
      last_ping_ = now;
    }
    pipeline_->send(unit, now);
    if (unit.publish && events_.on_publish) {
      const outbox::MessageView message = unit.message();
      events_.on_publish(message.channel, message.payload, unit.notice != nullptr);
    }
  }
  window_was_full_ = pipeline_->waiting_units() >= window_.units();
  sending_ = false;
}

uint64_t Link::query(int db, std::span<const std::string_view> command,
                     Delegate<void(const QueryReply&)> done, QueryOrder order) {
  if (machine_.state() < LinkState::replaying || !pipeline_) return 0;
  if (pipeline_->waiting_queries() >= kMaxQueries) return 0;
  if (order == QueryOrder::behind_writes) send_units();
  pipeline_->query(++last_query_, db, command, done, loop_.now());
  wake();
  return last_query_;
}

void Link::cancel(uint64_t query) {
  if (pipeline_) pipeline_->cancel_query(query);
}

// Of a connection on which all is settled that was there when it was opened: is it well?
void Link::settle_state() {
  if (machine_.state() < LinkState::replaying || !outbox_.caught_up()) return;
  if (options_.waits_for_beat && !beat_settled_) return;
  std::string_view refused;
  for (const std::string& own : own_refusals_) {
    if (refused.empty()) refused = own;
  }
  // All of it was refused: then nothing shows that this server stores anything.
  if (refused.empty() && !confirmed_ && machine_.state() != LinkState::steady) {
    refused = first_refusal_;
  }
  if (!refused.empty()) {
    const Trouble trouble = own_trouble(refused);
    std::string words = in_words(trouble, refused);
    if (machine_.state() == LinkState::degraded && words == status_.words) return;
    status_.words = std::move(words);
    machine_.set_trouble(trouble);
    if (machine_.state() == LinkState::degraded) return publish_status();
    return enter(LinkState::degraded);
  }
  if (machine_.state() == LinkState::steady) return;
  // What Redis has refused of the node's own meanwhile is there now.
  if (machine_.state() == LinkState::degraded) {
    outbox_.rewrite_all();
    wake();
  }
  status_.words.clear();
  if (!std::exchange(was_steady_, true)) {
    ++status_.connects;
    const std::string target = describe(options_.target);
    log_.notice("redis %s: connected, PING takes %.2f ms", target.c_str(),
                static_cast<double>(status_.round_trip.value_or(Duration::zero()).count()) / 1e6);
  }
  enter(LinkState::steady);
}

void Link::flush() {
  wakes_ = 0;
  if (const Status early = std::exchange(early_write_, {}); !early) {
    return fail(Trouble::closed, early.error().message);
  }
  if (!pipeline_->output().empty()) {
    if (const Status written = transport_->write(pipeline_->output()); !written) {
      return fail(Trouble::closed, written.error().message);
    }
  }
  arm_check();
}

// One timer for both: the oldest command is overdue, or it has been silent for long enough to ask.
// It is not moved at each reply but looks again when it expires; so it never sleeps longer than
// the silence that it has to notice.
void Link::arm_check() {
  if (check_.active()) return;
  const MonoTime now = loop_.now();
  MonoTime at = last_heard_ + options_.ping_after;
  if (const auto since = pipeline_->waiting_since()) {
    at = std::min(*since + options_.command_timeout, now + options_.ping_after);
  }
  check_.start(at - now);
}

void Link::on_check() {
  const MonoTime now = loop_.now();
  const bool once_more = !std::exchange(overdue_, false);
  if (const auto since = pipeline_->waiting_since()) {
    if (now - *since >= options_.command_timeout) {
      // It may be we who were held up: the answer lies in the socket then, and is read before this
      // looks again.
      overdue_ = once_more;
      if (once_more) return check_.start(std::chrono::milliseconds(1));
      return fail(Trouble::silent, format("no answer within %s",
                                          human_duration(ms(options_.command_timeout)).c_str()));
    }
  } else if (now - last_heard_ >= options_.ping_after) {
    pipeline_->ping(now);
    last_ping_ = now;
  }
  flush();
}

void Link::fail(Trouble trouble, std::string_view words) {
  const LinkMachine::Retry retry = machine_.fail(trouble, loop_.now());
  ++status_.failures;
  status_.words = in_words(trouble, words);
  drop_connection(status_.words);
  if (retry.news) {
    const std::string target = describe(options_.target);
    log_.warning("redis %s: %s; trying again for ever, first in %s, then at most every %s",
                 target.c_str(), status_.words.c_str(), human_duration(ms(retry.delay)).c_str(),
                 human_duration(ms(options_.backoff.cap)).c_str());
  }
  retry_.start(retry.delay);
  publish_status();
  if (finishing_) wake();
}

// Last of what a callback of the transport does: it dies here.
void Link::drop_connection(std::string_view words) {
  check_.stop();
  early_write_ = {};
  outbox_.connection_lost();
  status_.state = machine_.state();  // whoever gets no answer may say why
  if (pipeline_) pipeline_->give_up(words);
  pipeline_.reset();
  transport_.reset();
  window_.reset();
  status_.round_trip.reset();
  own_refusals_ = {};
  first_refusal_.clear();
  if (was_steady_) said_.clear();
  confirmed_ = beat_settled_ = was_steady_ = false;
}

void Link::reconfigure(LinkOptions options) {
  const bool anew = !same_way(options_, options);
  options_ = std::move(options);
  machine_.set_limits(options_.backoff, options_.stable_after);
  if (retry_.active()) {
    retry_.start(std::min(retry_.due() - loop_.now(), options_.backoff.cap));
  }
  if (!anew || machine_.state() == LinkState::stopped) return;
  machine_.restart();
  drop_connection("redis is another one now");
  retry_.start(Duration::zero());
  publish_status();
}

void Link::finish(Duration deadline, Delegate<void()> on_finished) {
  finishing_ = true;
  on_finished_ = on_finished;
  finish_deadline_.start(deadline);
  // The next try may be seconds away; what waits here has this one left.
  if (machine_.state() == LinkState::waiting) {
    retry_.stop();
    try_to_connect();
  }
  wake();
}

void Link::on_finish_deadline() {
  retry_.stop();
  machine_.stop();
  drop_connection("stopped");
  publish_status();
  std::exchange(on_finished_, {})();
}

void Link::enter(LinkState state) {
  [[maybe_unused]] const bool is_a_step = machine_.advance(state, loop_.now());
  assert(is_a_step);
  publish_status();
}

void Link::publish_status() {
  status_.state = machine_.state();
  status_.trouble = machine_.trouble();
  events_.on_status(status_);
}

}  // namespace nb::redis
