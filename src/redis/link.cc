#include "redis/link.h"

#include <algorithm>
#include <cassert>
#include <functional>
#include <utility>

#include "base/text.h"

namespace nb::redis {
namespace {

// This many updates in one turn are worth a write of their own, unless many are under way already.
constexpr size_t kEarlyWakes = 16;
constexpr size_t kBusyUnits = 64;
// More queries than this are refused.
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

}  // namespace

Link::Link(uv::Loop& loop, const Log& log, outbox::Outbox& outbox, LinkOptions options,
           LinkEvents events, MakeTransport make_transport)
    : loop_(loop),
      log_(log),
      outbox_(outbox),
      events_(events),
      connection_(loop, std::move(options), "", connection_events(), make_transport),
      finish_deadline_(loop, Delegate<void()>::to<&Link::on_finish_deadline>(this)) {}

ConnectionEvents Link::connection_events() {
  ConnectionEvents events;
  events.on_state = Delegate<void(LinkState)>::to<&Link::on_state>(this);
  events.on_reply = Delegate<std::optional<Failure>(Reply)>::to<&Link::on_reply>(this);
  events.on_replies_done = Delegate<void()>::to<&Link::on_replies_done>(this);
  events.on_lost =
      Delegate<void(const Failure&, std::optional<Culprit>, bool)>::to<&Link::on_lost>(this);
  events.on_turn = Delegate<void()>::to<&Link::on_turn>(this);
  return events;
}

void Link::start() {
  connection_.open();
}

void Link::wake() {
  if (++wakes_ >= kEarlyWakes) send_early();
  connection_.flush_soon();
}

void Link::on_state(LinkState state) {
  if (state == LinkState::greeting) {
    const std::vector<int>& databases = connection_.options().greeting.databases;
    const PipelineEvents events{
        Delegate<void(const outbox::Unit&, const UnitResult&)>::to<&Link::on_settled>(this),
        Delegate<void(const outbox::Unit&)>::to<&Link::on_aborted>(this)};
    pipeline_.emplace(events, databases.empty() ? 0 : databases.back(),
                      connection_.options().prefix);
  }
  // This comes first: a listener of the new state may ask a query, which sends what waits.
  if (state == LinkState::replaying) outbox_.connection_opened();
  publish_status();
  if (state == LinkState::replaying) wake();
}

std::optional<Failure> Link::on_reply(Reply reply) {
  return pipeline_->on_reply(reply, connection_.heard_at());
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
    // A part that goes with a refused part has the same words, which are logged once.
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
  const MonoTime now = connection_.heard_at();
  if (result.entry_ms > 0) outbox_.entry_stored(unit, result.entry_ms, now);
  if (result.id_refused) {
    outbox_.id_refused(unit, now, result.subscribers, refusals, result.echo.existed);
  } else {
    outbox_.settled(unit, now, result.subscribers, refusals, result.echo.existed);
  }
}

// The same refusal comes with each call of any client. So each pair of command and error is logged
// once for each of the first few keys or channels. The caller is told each time.
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
  const std::string target = describe(connection_.options().target);
  if (words.empty()) {
    log_.notice("redis %s: takes %s again", target.c_str(), kNames[part]);
  } else {
    const std::string_view why = redis::words(own_trouble(words));
    log_.error("redis %s: refuses %s: %.*s (%.*s)%s", target.c_str(), kNames[part],
               static_cast<int>(why.size()), why.data(), static_cast<int>(words.size()),
               words.data(), part == kHealth ? "; trying again with each beat" : "");
  }
}

void Link::on_replies_done() {
  status_.round_trip = connection_.round_trip();
  settle_state();
  if (!pipeline_) return;
  if (const auto took = pipeline_->take_last_unit_time()) {
    window_.on_answers(*took, window_was_full_);
  }
  // There may be room for more units, and finish() may wait until all is stored.
  wake();
}

// Called once a turn, before the loop waits: what the turn has gathered goes out in one write.
void Link::on_turn() {
  wakes_ = 0;
  // Without a connection there is nothing to wait for. A try that is under way may still succeed.
  if (finishing_ && connection_.state() <= LinkState::waiting) {
    finish_deadline_.start(Duration::zero());
  }
  if (!connection_.greeted()) return;
  send_units();
  settle_state();
  if (finishing_ && outbox_.drained()) finish_deadline_.start(Duration::zero());
}

// Called in the middle of a turn that brings many updates: a server that has little to do works on
// the first ones while the rest are still being read. A busy server is better served by one large
// write a turn.
void Link::send_early() {
  wakes_ = 0;
  if (connection_.state() < LinkState::steady || pipeline_->waiting_units() >= kBusyUnits) return;
  send_units();
  connection_.write_early();
}

void Link::send_units() {
  // A listener that hears of a dropped event may call this again from inside. The unit that was
  // taken out of the outbox must be on its way before the next one.
  if (std::exchange(sending_, true)) return;
  const MonoTime now = loop_.now();
  const WallTime wall = loop_.clock().wall_now();
  outbox::Unit unit;
  while (pipeline_->waiting_units() < window_.units() &&
         connection_.unsent_bytes() < connection_.options().max_output_bytes &&
         outbox_.next(unit, now, wall)) {
    // The round trip in a beat should be fresh, and a PING sent here costs no wake-up.
    connection_.ping_if_due(now);
    connection_.expect(pipeline_->send(unit, connection_.output(), now), now);
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
  if (!connection_.greeted() || !pipeline_) return 0;
  if (pipeline_->waiting_queries() >= kMaxQueries) return 0;
  if (order == QueryOrder::behind_writes) send_units();
  connection_.expect(pipeline_->query(++last_query_, db, command, done, connection_.output()));
  return last_query_;
}

void Link::cancel(uint64_t query) {
  if (pipeline_) pipeline_->cancel_query(query);
}

// Decides between steady and degraded, once all that waited when the connection was opened is
// settled.
void Link::settle_state() {
  if (!connection_.greeted() || !outbox_.caught_up()) return;
  if (connection_.options().waits_for_beat && !beat_settled_) return;
  std::string_view refused;
  for (const std::string& own : own_refusals_) {
    if (refused.empty()) refused = own;
  }
  // If all of it was refused, nothing shows that this server stores anything.
  if (refused.empty() && !confirmed_ && connection_.state() != LinkState::steady) {
    refused = first_refusal_;
  }
  if (!refused.empty()) {
    const Trouble trouble = own_trouble(refused);
    std::string words = in_words(trouble, refused);
    if (connection_.state() == LinkState::degraded && words == status_.words) return;
    status_.words = std::move(words);
    return connection_.set_degraded(trouble);
  }
  if (connection_.state() == LinkState::steady) return;
  // Writes again what Redis has refused of the node's own in the meantime.
  if (connection_.state() == LinkState::degraded) {
    outbox_.rewrite_all();
    wake();
  }
  status_.words.clear();
  if (!std::exchange(was_steady_, true)) {
    ++status_.connects;
    const std::string target = describe(connection_.options().target);
    log_.notice("redis %s: connected, PING takes %.2f ms", target.c_str(),
                static_cast<double>(status_.round_trip.value_or(Duration::zero()).count()) / 1e6);
  }
  connection_.set_steady();
}

void Link::on_lost(const Failure& failure, std::optional<Culprit>, bool news) {
  status_.words = in_words(failure.trouble, failure.words);
  forget_connection(status_.words);
  if (news) {
    const LinkOptions& options = connection_.options();
    const std::string target = describe(options.target);
    log_.warning("redis %s: %s; trying again for ever, first in %s, then at most every %s",
                 target.c_str(), status_.words.c_str(),
                 human_duration(ms(connection_.away())).c_str(),
                 human_duration(ms(options.backoff.cap)).c_str());
  }
  connection_.retry();
  publish_status();
  if (finishing_) wake();
}

void Link::forget_connection(std::string_view words) {
  outbox_.connection_lost();
  status_.state = connection_.state();  // those that get no answer now may tell why
  if (pipeline_) pipeline_->give_up(words);
  pipeline_.reset();
  window_.reset();
  status_.round_trip.reset();
  own_refusals_ = {};
  first_refusal_.clear();
  if (was_steady_) said_.clear();
  confirmed_ = beat_settled_ = was_steady_ = false;
}

void Link::reconfigure(LinkOptions options) {
  const bool is_stopped = connection_.state() == LinkState::stopped;
  if (!connection_.reconfigure(std::move(options)) || is_stopped) return;
  forget_connection("redis is another one now");
  connection_.open();
  publish_status();
}

void Link::finish(Duration deadline, Delegate<void()> on_finished) {
  finishing_ = true;
  on_finished_ = on_finished;
  finish_deadline_.start(deadline);
  // The next try may be seconds away, and this one is the last that what waits here can have.
  connection_.try_now();
  wake();
}

void Link::on_finish_deadline() {
  connection_.close();
  forget_connection("stopped");
  publish_status();
  std::exchange(on_finished_, {})();
}

void Link::publish_status() {
  status_.state = connection_.state();
  status_.trouble = connection_.trouble();
  status_.failures = connection_.failures();
  events_.on_status(status_);
}

}  // namespace nb::redis
