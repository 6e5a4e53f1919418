#include "cell/listeners.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "base/timestamp.h"
#include "json/writer.h"
#include "rpc/line_limits.h"
#include "wire/bus.h"
#include "wire/repeated.h"

namespace nb::cell {

using namespace std::string_view_literals;  // built for size, only these know their length

namespace {

// The limits of the patterns for which Redis is asked: this many, without anything behind a `*`.
// Redis tries the rest behind a `*` at each place of a channel, in microseconds for each message of
// the cell.
constexpr size_t kRemotePatterns = 32;
constexpr size_t kRemoteCost = 1;  // glob_cost().from_star

constexpr rpc::Param kChannels{"channels", rpc::ParamKind::texts, false, 0, rpc::kSubscriptions};
constexpr rpc::Param kPatterns{"patterns", rpc::ParamKind::texts, false, 0, rpc::kSubscriptions};
constexpr rpc::Param kReplay{"replay", rpc::ParamKind::object};
constexpr auto kSubscribeParams = rpc::takes(kChannels, kPatterns, kReplay);
constexpr auto kUnsubscribeParams = rpc::takes(kChannels, kPatterns);

constexpr size_t kMostReplays = 8;  // of one client
// Nodes in `after` of one client's replays. Each is kept as long as its replay.
constexpr size_t kMostAfter = 2048;

}  // namespace

constexpr rpc::Method Listeners::kMethods[] = {
    rpc::method<&Listeners::subscribe>("event.subscribe", kSubscribeParams, rpc::Right::read,
                                       rpc::kReads),
    rpc::method<&Listeners::unsubscribe>("event.unsubscribe", kUnsubscribeParams, rpc::Right::read,
                                         rpc::kReads),
};

Listeners::Listeners(uv::Loop& loop, const Log& log, const node::Identity& identity,
                     rpc::FrontEnd& front, const redis::Link& link, redis::Subscriber& remote,
                     redis::Reader& reader, const BusFilter& bus)
    : loop_(loop),
      log_(log),
      identity_(identity),
      front_(front),
      link_(link),
      remote_(remote),
      reader_(reader),
      bus_(bus),
      hold_(bus.clock_reader(), BusHold::HandOn::to<&Listeners::on_bus>(this)) {}

Listeners::~Listeners() = default;

Listeners::Listener* Listeners::find(rpc::ClientId client) {
  for (const auto& listener : listeners_) {
    if (listener->client == client) return listener.get();
  }
  return nullptr;
}

// --- events --------------------------------------------------------------------------------------

void Listeners::route(std::string_view channel, bool remote) {
  if (routed_ && routed_remote_ == remote && routed_channel_ == channel) return;
  routed_ = true;
  routed_remote_ = remote;
  routed_channel_ = channel;
  ++last_route_;
  matching_.clear();
  if (const auto at = channels_.find(channel); at != channels_.end()) add_to_route(*at, remote);
  if (patterns_.empty()) return;
  channel_text_.set(channel);
  for (const Topics::value_type& topic : patterns_) {
    if (channel_text_.matches(topic.first)) add_to_route(topic, remote);
  }
}

void Listeners::add_to_route(const Topics::value_type& topic, bool remote) {
  const Topic& about = topic.second;
  if (remote && remote_.stage(about.way, about.is_pattern) == redis::Subscriber::Stage::refused) {
    return;
  }
  matching_.push_back(&topic);
  for (const auto& [listener, own_place, replay] : about.members) {
    const uint64_t place = replay != nullptr ? 0 : own_place;
    if (listener->route == last_route_ && listener->place <= place) continue;
    listener->route = last_route_;
    listener->place = place;
    listener->by = &topic;
  }
}

template <class Visit>
void Listeners::for_each_routed(bool remote, std::string_view pattern, Visit visit) {
  for (const Topics::value_type* topic : matching_) {
    const Topic& about = topic->second;
    if (remote && (about.is_pattern ? about.way != pattern : !pattern.empty())) continue;
    bool first = true;
    for (const Member& member : topic->second.members) {
      if (member.listener->by == topic) {
        visit(member, *topic, std::exchange(first, false));
      }
    }
  }
}

void Listeners::begin_line(std::string_view channel, size_t payload_bytes) {
  line_ = "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"channel\":"sv;
  json::Writer(line_).string(channel);
  omitted_ = line_;
  omitted_.append(",\"omitted_bytes\":").append(std::to_string(payload_bytes));
}

void Listeners::deliver(std::string_view channel, std::string_view payload, bool remote,
                        Replays replays, std::string_view pattern) {
  // The longest line that any of them reads.
  size_t most = 0;
  const auto look = [&](const Member& member, const Topics::value_type&, bool) {
    if (member.replay == nullptr || replays == Replays::at_once) {
      most = std::max(most, front_.max_line_bytes(member.listener->client));
    } else if (replays != Replays::none) {
      member.replay->on_live(channel, payload, replays == Replays::find_out_repeated);
    }
  };
  for_each_routed(remote, pattern, look);
  if (most == 0) return;
  begin_line(channel, payload.size());
  const size_t omitted_head = omitted_.size();
  write_message(payload, remote, most);
  message_ = line_.size();
  bool written = false;
  const auto send = [&](const Member& member, const Topics::value_type& by, bool first) {
    if (first) written = false;
    if (member.replay != nullptr && replays != Replays::at_once) return;
    if (!std::exchange(written, true)) {
      line_.resize(message_);
      omitted_.resize(omitted_head);
      const size_t from = line_.size();
      write_line(by, remote);
      omitted_.append(line_, from);
    }
    ++counters_.delivered;
    const rpc::ClientId client = member.listener->client;
    front_.notify(client, line_.size() <= front_.max_line_bytes(client) ? line_ : omitted_);
  };
  for_each_routed(remote, pattern, send);
}

void Listeners::tell_too_late(std::string_view pattern, WallTime sent) {
  ++counters_.too_late;
  const WallTime now = loop_.clock().wall_now();
  for_each_routed(true, pattern, [&](const Member& member, const Topics::value_type&, bool) {
    front_.notify_gap(member.listener->client, sent, now);
  });
}

// Once for all listeners, in the form for the one that reads the longest lines.
void Listeners::write_message(std::string_view payload, bool remote, size_t most) {
  const size_t room = most - rpc::kEnvelopeBytes;
  // A line is nested at most 64 deep, with the two levels that are around this.
  if (payload.size() <= room && (!remote || guard_.check(payload, {room, 62}).reason == nullptr)) {
    // A remote one may have line breaks.
    compact_.clear();
    if (remote) append_compact(json::View::of(payload), compact_);
    line_.append(",\"event\":").append(remote ? std::string_view(compact_) : payload);
  } else if (payload.size() <= room / 6) {  // each byte may need six as an escape
    line_ += ",\"text\":";
    json::Writer(line_).string(payload);
  } else {
    line_ = omitted_;
  }
}

// The part of a line behind the message.
void Listeners::write_line(const Topics::value_type& by, bool remote) {
  if (by.second.is_pattern) {
    line_ += ",\"pattern\":";
    json::Writer(line_).string(by.first);
  }
  if (remote) line_ += ",\"remote\":true";
  line_ += "}}";
}

void Listeners::wake_replays(std::string_view channel, std::string_view pattern) {
  if (replays_ == 0) return;
  route(channel, true);
  for_each_routed(true, pattern, [&](const Member& member, const Topics::value_type&, bool) {
    if (member.replay != nullptr) member.replay->wake(channel);
  });
}

void Listeners::deliver_local(std::string_view channel, std::string_view payload, bool recorded) {
  if (listeners_.empty()) return;
  route(channel, false);
  deliver(channel, payload, false, recorded ? Replays::none : Replays::at_once);
}

void Listeners::on_remote(std::string_view channel, std::string_view payload,
                          std::string_view pattern) {
  // No client could name it, and each of its bytes costs each pattern.
  if (channel.size() > GlobText::kMaxBytes) return;
  const bool repeated = wire::take_repeated(payload);
  if (echo_.is_echo(channel, payload, loop_.now(), pattern)) {
    ++counters_.echoes_dropped;
    return wake_replays(channel, pattern);
  }
  const RemoteMessage message{channel, payload, pattern, repeated};
  wire::is_bus_channel(channel) ? on_bus(message, false) : hand_on(message, false);
}

void Listeners::on_bus(const RemoteMessage& message, bool checked) {
  const BusFilter::Look look = bus_.look(message.payload, loop_.now(), guard_);
  if (look.verdict == BusFilter::Verdict::own) {
    ++counters_.echoes_dropped;
    return;
  }
  const bool too_late = look.verdict == BusFilter::Verdict::too_late;
  if (!checked && (too_late || hold_.holds_any()) && hold_.keep(message)) return;
  if (!too_late) return hand_on(message, look.for_now);
  bus_.log_too_late(message.channel, look);
  route(message.channel, true);
  tell_too_late(message.pattern, look.sent);
}

void Listeners::hand_on(const RemoteMessage& message, bool for_now) {
  route(message.channel, true);
  const Replays replays = for_now            ? Replays::at_once
                          : message.repeated ? Replays::find_out_repeated
                                             : Replays::find_out;
  deliver(message.channel, message.payload, true, replays, message.pattern);
}

void Listeners::on_publish(std::string_view channel, std::string_view payload, bool is_notice) {
  if (listeners_.empty()) return;
  echo_.sent(channel, payload, loop_.now());
  if (is_notice) deliver_local(channel, payload);
}

void Listeners::on_remote_state(redis::LinkState state) {
  if (state == redis::LinkState::stopped) echo_.clear();
  if (remote_.will_tell_gap()) {
    for (const auto& listener : listeners_) {
      for (const auto& replay : listener->replays) replay->on_outage();
    }
  }
  forget_route();
  for (const auto& listener : listeners_) {
    answer_waiting(*listener);
    if (!listener->replays.empty() && !waits_for_redis(*listener)) wake(*listener);
  }
}

// --- subscriptions -------------------------------------------------------------------------------

void Listeners::answer_waiting(Listener& listener) {
  const auto is_answered = [](const Subscription& s) { return s.call == 0; };
  if (listener.replays.empty() &&
      std::all_of(listener.subscriptions.begin(), listener.subscriptions.end(), is_answered)) {
    return;
  }
  if (waits_for_redis(listener)) return;
  for (Subscription& s : listener.subscriptions) front_.answer(std::exchange(s.call, 0), "{}");
  for (const auto& replay : listener.replays) {
    if (replay->has_begun()) front_.answer(std::exchange(replay->call, 0), "{}");
  }
}

bool Listeners::waits_for_redis(const Listener& listener) const {
  if (remote_.will_tell_gap()) return false;
  for (const Subscription& s : listener.subscriptions) {
    const Topic& about = s.topic->second;
    if (remote_.stage(about.way, about.is_pattern) < redis::Subscriber::Stage::listening)
      return true;
  }
  return false;
}

void Listeners::on_gap(WallTime from, WallTime to) {
  ++counters_.gaps;
  for (const auto& listener : listeners_) {
    if (!misses_nothing(*listener)) front_.notify_gap(listener->client, from, to);
    for (const auto& replay : listener->replays) replay->wake_after_gap();
  }
}

// Whether the client's replays have room for the nodes that this one names.
bool Listeners::may_remember(const Listener* listener, const ReplayStart& start) {
  size_t nodes = start.after.size();
  if (listener != nullptr) {
    for (const auto& replay : listener->replays) nodes += replay->nodes_named();
  }
  return nodes <= kMostAfter;
}

void Listeners::subscribe(rpc::Call& call) {
  const json::View channels = call[kChannels];
  const json::View patterns = call[kPatterns];
  const bool replays = call[kReplay].exists();
  ReplayStart start;
  if (replays) {
    if (const auto error = read_replay(call[kReplay], start)) return call.refuse(*error);
  }
  size_t count = 0;
  for (const json::View list : {channels, patterns}) {
    if (!list.exists()) continue;
    for ([[maybe_unused]] const json::View element : list.elements()) ++count;
  }
  if (count == 0) {
    return call.refuse(rpc::invalid_params("channels", "name at least one channel or pattern"));
  }
  Listener* listener = find(call.who.client);
  if (replays && listener != nullptr && listener->replays.size() >= kMostReplays) {
    return call.refuse(
        rpc::too_many(format("a client may have at most %zu replays: name several channels at once",
                             kMostReplays),
                      kMostReplays));
  }
  if (replays && !may_remember(listener, start)) {
    return call.refuse(rpc::too_many(
        format("a client's replays may name at most %zu nodes in `after`, all together: name "
               "several channels at once",
               kMostAfter),
        kMostAfter));
  }
  if (listener == nullptr) {
    listeners_.push_back(std::make_unique<Listener>());
    listener = listeners_.back().get();
    listener->client = call.who.client;
  }
  const size_t had = listener->subscriptions.size();
  std::string scratch;
  for (const bool is_pattern : {false, true}) {
    const json::View list = is_pattern ? patterns : channels;
    if (!list.exists()) continue;
    for (const json::View element : list.elements()) {
      add(*listener, *element.string(scratch), is_pattern);
    }
  }
  const bool too_many = listener->subscriptions.size() > rpc::kSubscriptions;
  const size_t cost = listener->pattern_cost;
  if (too_many || cost > rpc::kPatternCost) {
    for (; listener->subscriptions.size() > had; listener->subscriptions.pop_back()) {
      drop(*listener, listener->subscriptions.back());
    }
    if (had == 0) listeners_.pop_back();
    return call.refuse(
        too_many
            ? rpc::too_many(
                  format("a client may have at most %zu subscriptions", rpc::kSubscriptions),
                  rpc::kSubscriptions)
            : rpc::too_many(
                  format("the client's patterns would cost %zu, of at most %zu: each byte from a "
                         "pattern's first * on costs 1, four bytes before it 1, each class 32 more",
                         cost, rpc::kPatternCost),
                  rpc::kPatternCost));
  }
  const bool waits = listener->subscriptions.size() > had &&
                     link_.status().state >= redis::LinkState::replaying &&
                     waits_for_redis(*listener);
  if (replays) return start_replay(*listener, call, channels, patterns, start);
  if (!waits) return call.answer();
  listener->subscriptions.back().call = call.put_off();
}

std::string_view Listeners::way_of(std::string_view text, bool is_pattern) const {
  if (!is_pattern) return text;
  const bool cheap =
      glob_cost(text).from_star <= kRemoteCost && remote_.patterns() < kRemotePatterns;
  return cheap ? text : "*"sv;
}

void Listeners::add(Listener& listener, std::string_view text, bool is_pattern) {
  Topics& all = topics(is_pattern);
  auto topic = all.find(text);
  if (topic == all.end()) {
    Topic about{is_pattern, std::string(way_of(text, is_pattern)), {}};
    topic = all.try_emplace(std::string(text), std::move(about)).first;
  }
  std::vector<Member>& members = topic->second.members;
  const auto is_it = [&](const Member& member) { return member.listener == &listener; };
  if (std::any_of(members.begin(), members.end(), is_it)) return;
  forget_route();
  members.push_back({&listener, ++last_place_});
  listener.subscriptions.push_back({topic, 0});
  if (is_pattern) {
    listener.pattern_cost += glob_cost(text).all;
    remote_.psubscribe(topic->second.way);
  } else {
    remote_.subscribe(text);
  }
}

void Listeners::drop(Listener& listener, const Subscription& subscription) {
  forget_route();
  front_.answer(subscription.call, "{}");
  const Topics::iterator topic = subscription.topic;
  const std::string_view text = topic->first;
  auto& about = topic->second;
  if (about.is_pattern) {
    listener.pattern_cost -= glob_cost(text).all;
    remote_.punsubscribe(about.way);
  } else {
    remote_.unsubscribe(text);
  }
  std::erase_if(about.members, [&](const Member& member) {
    if (member.listener != &listener) return false;
    end_replay(listener, member.replay, *topic);
    return true;
  });
  if (about.members.empty()) topics(about.is_pattern).erase(topic);
}

void Listeners::unsubscribe(rpc::Call& call) {
  const json::View channels = call[kChannels];
  const json::View patterns = call[kPatterns];
  if (!channels.exists() && !patterns.exists()) {
    on_client_closed(call.who.client);
    return call.answer();
  }
  if (Listener* listener = find(call.who.client)) {
    std::string scratch;
    for (const bool is_pattern : {false, true}) {
      const json::View list = is_pattern ? patterns : channels;
      if (!list.exists()) continue;
      for (const json::View element : list.elements()) {
        const std::string_view text = *element.string(scratch);
        std::erase_if(listener->subscriptions, [&](const Subscription& s) {
          if (s.topic->second.is_pattern != is_pattern || s.topic->first != text) return false;
          drop(*listener, s);
          return true;
        });
      }
    }
    answer_waiting(*listener);
    if (listener->subscriptions.empty()) on_client_closed(call.who.client);
  }
  call.answer();
}

void Listeners::on_client_closed(rpc::ClientId client) {
  Listener* listener = find(client);
  if (listener == nullptr) return;
  for (const Subscription& subscription : listener->subscriptions) drop(*listener, subscription);
  std::erase_if(listeners_, [&](const auto& one) { return one.get() == listener; });
}

size_t Listeners::subscriptions() const {
  size_t count = 0;
  for (const auto& listener : listeners_) count += listener->subscriptions.size();
  return count;
}

size_t Listeners::subscriptions_of(rpc::ClientId client) const {
  for (const auto& listener : listeners_) {
    if (listener->client == client) return listener->subscriptions.size();
  }
  return 0;
}

}  // namespace nb::cell
