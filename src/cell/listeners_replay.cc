// Of Listeners: the clients that get the recorded events of a channel out of the streams.
#include <algorithm>
#include <utility>

#include "base/timestamp.h"
#include "cell/listeners.h"
#include "json/writer.h"
#include "rpc/line_limits.h"
#include "wire/bus.h"

namespace nb::cell {

using namespace std::string_view_literals;  // built for size, only these know their length

namespace {

// So much may wait for a client before a replay waits: live events have room beside it.
constexpr size_t kReplayUnread = 2 * rpc::kLineBytes;

}  // namespace

// Channels that came without a replay before, or with another one, come with this one.
void Listeners::start_replay(Listener& listener, rpc::Call& call, json::View channels,
                             json::View patterns, const ReplayStart& start) {
  forget_route();
  const Replay::Parts parts{loop_, log_, reader_, bus_.clock(), identity_.node, *this};
  listener.replays.push_back(std::make_unique<Replay>(parts, listener.client, start));
  Replay* replay = listener.replays.back().get();
  ++replays_;
  std::string scratch;
  for (const bool is_pattern : {false, true}) {
    for (const json::View element : (is_pattern ? patterns : channels).elements()) {
      const auto topic = topics(is_pattern).find(*element.string(scratch));
      for (Member& member : topic->second.members) {
        if (member.listener != &listener || member.replay == replay) continue;
        end_replay(listener, std::exchange(member.replay, replay), *topic);
        replay->add(topic->first, is_pattern);
      }
    }
  }
  if (link_.status().state < redis::LinkState::replaying) {
    call.answer();
  } else {
    replay->call = call.put_off();
  }
  if (!waits_for_redis(listener)) replay->wake();
}

void Listeners::end_replay(Listener& listener, Replay* replay, const Topics::value_type& topic) {
  if (replay == nullptr || !replay->remove(topic.first, topic.second.is_pattern)) return;
  front_.answer(replay->call, "{}");
  std::erase_if(listener.replays, [&](const auto& one) { return one.get() == replay; });
  --replays_;
}

void Listeners::wake(Listener& listener) {
  for (const auto& replay : listener.replays) replay->wake();
}

bool Listeners::misses_nothing(const Listener& listener) {
  const auto comes_from_streams = [&](const Subscription& subscription) {
    const auto& topic = *subscription.topic;
    return !topic.second.is_pattern &&
           std::any_of(topic.second.members.begin(), topic.second.members.end(),
                       [&](const Member& member) {
                         return member.listener == &listener && member.replay != nullptr &&
                                member.replay->records(topic.first);
                       });
  };
  return std::all_of(listener.subscriptions.begin(), listener.subscriptions.end(),
                     comes_from_streams);
}

void Listeners::stop() {
  for (const auto& listener : listeners_) {
    for (const Subscription& subscription : listener->subscriptions) drop(*listener, subscription);
  }
  listeners_.clear();
  hold_.clear();
}

bool Listeners::deliver_one(rpc::ClientId client, std::string_view channel,
                            std::string_view payload, std::string_view rest, bool may_be_lost) {
  const size_t most = front_.max_line_bytes(client);
  begin_line(channel, payload.size());
  write_message(payload, true, most);
  line_ += rest;
  if (line_.size() > most) (line_ = omitted_) += rest;
  if (may_be_lost) {
    front_.notify(client, line_);
  } else if (!front_.notify_if_room(client, line_)) {
    return false;
  }
  ++counters_.delivered;
  return true;
}

// Where Redis has not confirmed the subscription yet, the call is answered when it has.
void Listeners::on_begun(Replay& replay) {
  Listener* listener = find(replay.client());
  if (listener == nullptr || waits_for_redis(*listener)) return;
  front_.answer(std::exchange(replay.call, 0), "{}");
}

bool Listeners::has_room(const Replay& replay) {
  return front_.queued_bytes(replay.client()) < kReplayUnread;
}

bool Listeners::comes_by(const Replay& replay, std::string_view channel) {
  route(channel, true);
  const Listener* listener = find(replay.client());
  if (listener->route != last_route_) return true;
  const auto& members = listener->by->second.members;
  return std::none_of(members.begin(), members.end(), [&](const Member& member) {
    return member.listener == listener && member.replay != nullptr && member.replay != &replay;
  });
}

bool Listeners::on_recorded(const Replay& replay, const Event& event) {
  if (replays_ > 1 && !comes_by(replay, event.channel)) return true;
  const bool remote = event.node != identity_.node;
  if (remote && wire::is_bus_channel(event.channel) &&
      bus_.look(event.payload, loop_.now(), guard_).verdict == BusFilter::Verdict::own) {
    return true;
  }
  rest_.clear();
  put_pattern(event.pattern);
  rest_ += ",\"id\":\"";
  rest_.append(event.id.text()).append("\",\"node\":\"").append(event.node);
  rest_ += remote ? "\",\"remote\":true}}"sv : "\"}}"sv;
  return deliver_one(replay.client(), event.channel, event.payload, rest_, false);
}

bool Listeners::on_missed(const Replay& replay, std::string_view stream, wire::StreamId after,
                          wire::StreamId before) {
  const WallTime to = before == wire::StreamId{} ? loop_.clock().wall_now() : before.time();
  rest_ = "{\"jsonrpc\":\"2.0\",\"method\":\"event.gap\",\"params\":{\"from\":\"";
  append_timestamp(after.time(), rest_);
  rest_ += "\",\"to\":\"";
  append_timestamp(to, rest_);
  rest_ += "\",\"stream\":";
  json::Writer(rest_).string(stream);
  rest_.append(",\"after\":\"").append(after.text()).append("\",\"before\":");
  rest_ += before == wire::StreamId{} ? "null" : '"' + before.text() + '"';
  rest_ += "}}";
  return front_.notify_if_room(replay.client(), rest_);
}

bool Listeners::on_past_told(const Replay& replay, std::string_view mark) {
  rest_ = "{\"jsonrpc\":\"2.0\",\"method\":\"event.replayed\",\"params\":{\"mark\":";
  json::Writer(rest_).string(mark);
  rest_ += "}}"sv;
  return front_.notify_if_room(replay.client(), rest_);
}

void Listeners::on_unrecorded(const Replay& replay, const Event& event) {
  rest_.clear();
  put_pattern(event.pattern);
  rest_ += ",\"remote\":true}}";
  deliver_one(replay.client(), event.channel, event.payload, rest_, true);
}

void Listeners::put_pattern(std::string_view pattern) {
  if (pattern.empty()) return;
  rest_ += ",\"pattern\":";
  json::Writer(rest_).string(pattern);
}

void Listeners::on_lost(const Replay& replay, WallTime since) {
  front_.notify_gap(replay.client(), since, loop_.clock().wall_now());
}

}  // namespace nb::cell
