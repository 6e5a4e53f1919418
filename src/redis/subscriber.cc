#include "redis/subscriber.h"

#include <algorithm>
#include <utility>

#include "redis/key_prefix.h"
#include "redis/resp_writer.h"

namespace nb::redis {
namespace {

// Commands that may wait for their answers: several times what all clients together may subscribe
// to. A client that subscribes and unsubscribes in a loop must not fill the memory while the server
// is silent.
constexpr size_t kMaxSent = 16384;

// No database is selected, since channels belong to none.
LinkOptions without_databases(LinkOptions options) {
  options.greeting.databases.clear();
  return options;
}

std::string_view name_of(bool subscribes, bool pattern) {
  if (pattern) return subscribes ? "psubscribe" : "punsubscribe";
  return subscribes ? "subscribe" : "unsubscribe";
}

}  // namespace

Subscriber::Subscriber(uv::Loop& loop, const Log& log, LinkOptions options, SubscriberEvents events,
                       MakeTransport make_transport)
    : loop_(loop),
      log_(log),
      events_(events),
      connection_(loop, without_databases(std::move(options)), "-sub", connection_events(),
                  make_transport) {}

Subscriber::~Subscriber() = default;

ConnectionEvents Subscriber::connection_events() {
  ConnectionEvents events;
  events.on_state = Delegate<void(LinkState)>::to<&Subscriber::on_state>(this);
  events.on_reply = Delegate<std::optional<Failure>(Reply)>::to<&Subscriber::on_reply>(this);
  events.on_message = Delegate<bool(Reply)>::to<&Subscriber::on_message>(this);
  events.on_replies_done = Delegate<void()>::to<&Subscriber::on_replies_done>(this);
  events.on_lost =
      Delegate<void(const Failure&, std::optional<Culprit>, bool)>::to<&Subscriber::on_lost>(this);
  events.on_turn = Delegate<void()>::to<&Subscriber::on_turn>(this);
  return events;
}

void Subscriber::subscribe(std::string_view channel) {
  want(channels_, channel);
}

void Subscriber::psubscribe(std::string_view pattern) {
  want(patterns_, pattern);
}

void Subscriber::unsubscribe(std::string_view channel) {
  unwant(channels_, Command::unsubscribe, channel);
}

void Subscriber::punsubscribe(std::string_view pattern) {
  unwant(patterns_, Command::punsubscribe, pattern);
}

void Subscriber::want(Subscriptions& all, std::string_view name) {
  auto it = all.find(name);
  if (it == all.end()) it = all.try_emplace(std::string(name)).first;
  if (++it->second.count == 1) connection_.flush_soon();
}

void Subscriber::unwant(Subscriptions& all, Command command, std::string_view name) {
  const auto it = all.find(name);
  if (it == all.end() || --it->second.count > 0) return;
  const Stage stage = it->second.stage;
  if (stage == Stage::sent || stage == Stage::listening) send(command, name);
  all.erase(it);
  connection_.flush_soon();
}

Subscriber::Stage Subscriber::stage(std::string_view name, bool is_pattern) const {
  const Subscriptions& all = is_pattern ? patterns_ : channels_;
  const auto it = all.find(name);
  return it == all.end() ? Stage::refused : it->second.stage;
}

void Subscriber::stop() {
  channels_.clear();
  patterns_.clear();
  connection_.flush_soon();
}

// Called once a turn, so that a caller from inside a message finds everything in place.
void Subscriber::on_turn() {
  if (!wants_anything()) {
    if (state() == LinkState::stopped) return;
    connection_.close();
    forget_connection();
    deaf_since_.reset();
    return events_.on_status(LinkState::stopped);
  }
  if (state() == LinkState::stopped) {
    last_listened_ = loop_.clock().wall_now();
    connection_.retry();
  } else if (connection_.greeted()) {
    send_wanted();
    if (sent_.size() > kMaxSent) {
      return connection_.give_up({Trouble::silent, "subscriptions are not answered"});
    }
    maybe_steady();
  }
}

void Subscriber::on_state(LinkState state) {
  events_.on_status(state);
  if (state == LinkState::replaying) connection_.flush_soon();
}

void Subscriber::send(Command command, std::string_view name) {
  RespWriter resp(connection_.output(), prefix());
  resp.command(2);
  switch (command) {
    case Command::subscribe:
      resp.arg("SUBSCRIBE");
      break;
    case Command::unsubscribe:
      resp.arg("UNSUBSCRIBE");
      break;
    case Command::psubscribe:
      resp.arg("PSUBSCRIBE");
      break;
    case Command::punsubscribe:
      resp.arg("PUNSUBSCRIBE");
      break;
  }
  resp.key(name);
  connection_.expect(1);
  sent_.push_back({command, std::string(name)});
}

// Each name has a command of its own, so that a refused one does not take the others with it. Names
// that are given up in the turn in which they were wanted are never sent.
void Subscriber::send_wanted() {
  for (auto* all : {&channels_, &patterns_}) {
    for (auto& [name, wanted] : *all) {
      if (wanted.stage != Stage::wanted) continue;
      wanted.stage = Stage::sent;
      send(all == &channels_ ? Command::subscribe : Command::psubscribe, name);
    }
  }
}

void Subscriber::on_replies_done() {
  if (state() == LinkState::steady) last_listened_ = loop_.clock().wall_now();
  maybe_steady();
  if (std::exchange(confirmed_, false)) events_.on_status(state());
}

bool Subscriber::on_message(Reply reply) {
  if (!reply.is_array()) return false;
  const std::string_view kind = reply[0].text();
  // A message that was on its way when its channel was unsubscribed is no longer wanted.
  if (kind == "message" && reply.size() == 3) {
    const auto channel = without_prefix(reply[1].text(), prefix());
    if (channel && channels_.contains(*channel)) {
      events_.on_message(*channel, reply[2].text(), {});
    }
    return true;
  }
  if (kind == "pmessage" && reply.size() == 4) {
    const auto pattern = without_prefix(reply[1].text(), prefix());
    const auto channel = without_prefix(reply[2].text(), prefix());
    if (pattern && channel && patterns_.contains(*pattern)) {
      events_.on_message(*channel, reply[3].text(), *pattern);
    }
    return true;
  }
  return false;
}

std::optional<Failure> Subscriber::on_reply(Reply reply) {
  const Sent sent = std::move(sent_.front());
  sent_.pop_front();
  const std::string_view error = reply.error();
  const Trouble trouble = classify(error);
  if (trouble != Trouble::none && trouble != Trouble::no_permission) {
    return Failure{trouble, std::string(error)};
  }
  const bool pattern = sent.command == Command::psubscribe || sent.command == Command::punsubscribe;
  const bool subscribes = sent.command == Command::subscribe || sent.command == Command::psubscribe;
  Subscriptions& all = pattern ? patterns_ : channels_;
  if (subscribes) confirmed_ = true;
  if (subscribes && !error.empty()) {
    refused(all, sent.name, error);
    return std::nullopt;
  }
  if (reply[0].text() != name_of(subscribes, pattern) ||
      (subscribes && without_prefix(reply[1].text(), prefix()) != sent.name)) {
    return Failure{Trouble::rubbish, subscribes ? "SUBSCRIBE was answered by something else"
                                                : "UNSUBSCRIBE was answered by something else"};
  }
  const auto it = all.find(sent.name);
  if (subscribes && it != all.end() && it->second.stage == Stage::sent) {
    it->second.stage = Stage::listening;
    it->second.said = false;
  }
  return std::nullopt;
}

void Subscriber::refused(Subscriptions& all, std::string_view name, std::string_view words) {
  const auto it = all.find(name);
  if (it == all.end()) return;
  it->second.stage = Stage::refused;
  if (std::exchange(it->second.said, true)) return;
  log_.error("redis does not let this agent listen to '%.*s': %.*s", static_cast<int>(name.size()),
             name.data(), static_cast<int>(words.size()), words.data());
}

void Subscriber::maybe_steady() {
  if (state() != LinkState::replaying) return;
  const auto waits = [](const auto& item) { return item.second.stage < Stage::listening; };
  if (std::any_of(channels_.begin(), channels_.end(), waits) ||
      std::any_of(patterns_.begin(), patterns_.end(), waits)) {
    return;
  }
  const WallTime now = loop_.clock().wall_now();
  last_listened_ = now;
  connection_.set_steady();
  if (!deaf_since_) return;
  const WallTime from = *std::exchange(deaf_since_, std::nullopt);
  log_.info("redis: listening again");
  events_.on_gap(from, now);
}

void Subscriber::on_lost(const Failure& failure, std::optional<Culprit>, bool news) {
  interrupted();
  forget_connection();
  // The link logs the same trouble of the same server at a higher level.
  if (news) {
    const std::string_view words = redis::words(failure.trouble);
    log_.info("redis: not listening: %.*s (%s); trying again for ever",
              static_cast<int>(words.size()), words.data(), failure.words.c_str());
  }
  connection_.retry();
  events_.on_status(state());
}

void Subscriber::interrupted() {
  if (!deaf_since_) deaf_since_ = last_listened_;
}

void Subscriber::forget_connection() {
  sent_.clear();
  confirmed_ = false;
  for (auto* all : {&channels_, &patterns_}) {
    for (auto& [name, wanted] : *all) wanted.stage = Stage::wanted;
  }
}

void Subscriber::reconfigure(LinkOptions options) {
  if (!connection_.reconfigure(without_databases(std::move(options))) ||
      state() == LinkState::stopped)
    return;
  interrupted();
  forget_connection();
  connection_.open();
  events_.on_status(state());
}

}  // namespace nb::redis
