#include "agent/event_bus.h"

#include <algorithm>
#include <utility>

#include "base/glob.h"
#include "base/text.h"
#include "wire/json_writer.h"
#include "wire/line_limits.h"
#include "wire/timestamp.h"

namespace nb::agent {

using namespace std::string_view_literals;  // built for size, only these know their length

namespace {

constexpr size_t kMaxSubscriptions = wire::kSubscriptions;
constexpr size_t kMaxPayload = wire::kLineBytes - wire::kEnvelopeBytes;

enum SubscribeParam : uint8_t { kChannels, kPatterns };

}  // namespace

EventBus::EventBus(uv::Loop& loop, ipc::RpcServer& rpc, Requests& requests,
                   redis::Subscriber& remote, Options options)
    : loop_(loop), rpc_(rpc), requests_(requests), remote_(remote), options_(std::move(options)) {}

bool EventBus::publish(Request& request, const Publication& event, const outbox::SlotUpdate* slot,
                       const outbox::EntryUpdate* entry, AnswerKind kind, std::string_view result) {
  const outbox::MessageUpdate message{event.channel, event.payload, event.max_age};
  const outbox::FieldView fields[] = {{"channel"sv, event.channel}, {"event"sv, event.payload}};
  const outbox::EntryUpdate own{options_.db, options_.node_events_stream, options_.events_length,
                                fields};
  if (!requests_.write(request, slot, event.record ? &own : entry, &message, kind, result)) {
    return false;
  }
  deliver_local(event.channel, event.payload);
  return true;
}

EventBus::Listener* EventBus::find(ipc::ClientId client) {
  const auto at = std::find_if(listeners_.begin(), listeners_.end(),
                               [&](const Listener& l) { return l.client == client; });
  return at == listeners_.end() ? nullptr : &*at;
}

const EventBus::Subscription* EventBus::match(const Listener& listener, std::string_view channel,
                                              bool remote) const {
  for (const Subscription& s : listener.subscriptions) {
    if ((s.is_pattern ? glob_matches(s.text, channel) : s.text == channel) &&
        !(remote && remote_.stage(s.text, s.is_pattern) == redis::Subscriber::Stage::refused)) {
      return &s;
    }
  }
  return nullptr;
}

void EventBus::notify(const Listener& listener, const Subscription& by, std::string_view channel,
                      std::string_view payload, bool remote) {
  line_ = "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":";
  wire::JsonWriter json(line_);
  json.begin_object().key("channel").string(channel);
  // A line is nested at most 64 deep, with the two levels that are around this.
  const bool is_json = !remote || guard_.check(payload, {kMaxPayload, 62}).reason == nullptr;
  if (is_json) {
    // A remote one may have line breaks.
    compact_.clear();
    if (remote) append_compact(wire::JsonView::of(payload), compact_);
    json.key("event").raw(remote ? std::string_view(compact_) : payload);
  } else if (payload.size() <= kMaxPayload / 6) {  // each byte may need six as an escape
    json.key("text").string(payload);
  } else {
    json.key("omitted_bytes").integer(static_cast<int64_t>(payload.size()));
  }
  if (by.is_pattern) json.key("pattern").string(by.text);
  if (remote) json.key("remote").boolean(true);
  json.end_object();
  line_ += '}';
  ++counters_.delivered;
  rpc_.notify(listener.client, line_);
}

void EventBus::deliver_local(std::string_view channel, std::string_view payload) {
  for (const Listener& listener : listeners_) {
    if (const Subscription* by = match(listener, channel, false)) {
      notify(listener, *by, channel, payload, false);
    }
  }
}

void EventBus::on_remote(std::string_view channel, std::string_view payload,
                         std::string_view pattern) {
  if (echo_.is_echo(channel, payload, loop_.now(), pattern)) {
    ++counters_.echoes_dropped;
    return;
  }
  for (const Listener& listener : listeners_) {
    const Subscription* by = match(listener, channel, true);
    if (by == nullptr) continue;
    if (by->is_pattern ? by->text == pattern : pattern.empty()) {
      notify(listener, *by, channel, payload, true);
    }
  }
}

void EventBus::on_publish(std::string_view channel, std::string_view payload, bool is_notice) {
  if (listeners_.empty()) return;
  echo_.sent(channel, payload, loop_.now());
  if (is_notice) deliver_local(channel, payload);
}

void EventBus::on_remote_state(redis::LinkState state) {
  if (state == redis::LinkState::stopped) echo_.clear();
  for (Listener& listener : listeners_) answer_waiting(listener);
}

void EventBus::answer_waiting(Listener& listener) {
  for (Subscription& s : listener.subscriptions) {
    if (s.call == 0) continue;
    if (waits_for_redis(listener)) return;
    rpc_.answer(std::exchange(s.call, 0), "{}");
  }
}

bool EventBus::waits_for_redis(const Listener& listener) const {
  if (remote_.will_tell_gap()) return false;
  for (const Subscription& s : listener.subscriptions) {
    if (remote_.stage(s.text, s.is_pattern) < redis::Subscriber::Stage::listening) return true;
  }
  return false;
}

void EventBus::on_gap(WallTime from, WallTime to) {
  ++counters_.gaps;
  std::string line = "{\"jsonrpc\":\"2.0\",\"method\":\"event.gap\",\"params\":{\"from\":\"";
  wire::append_timestamp(from, line);
  line += "\",\"to\":\"";
  wire::append_timestamp(to, line);
  line += "\"}}";
  for (const Listener& listener : listeners_) rpc_.notify(listener.client, line);
}

void EventBus::subscribe(Request& request) {
  if (request.check_only || request.call == nullptr) return;
  const wire::JsonView channels = request.values[kChannels];
  const wire::JsonView patterns = request.values[kPatterns];
  size_t count = 0;
  for (const wire::JsonView list : {channels, patterns}) {
    if (!list.exists()) continue;
    for ([[maybe_unused]] const wire::JsonView element : list.elements()) ++count;
  }
  if (count == 0) {
    return requests_.refuse(
        request, wire::rpc::invalid_params("channels", "name at least one channel or pattern"));
  }
  Listener* listener = find(request.call->client);
  if (listener == nullptr) {
    listeners_.push_back({request.call->client, {}});
    listener = &listeners_.back();
  }
  const size_t had = listener->subscriptions.size();
  std::string scratch;
  for (const bool is_pattern : {false, true}) {
    const wire::JsonView list = is_pattern ? patterns : channels;
    if (!list.exists()) continue;
    for (const wire::JsonView element : list.elements()) {
      const std::string_view text = *element.string(scratch);
      const bool has_it = std::any_of(
          listener->subscriptions.begin(), listener->subscriptions.end(),
          [&](const Subscription& s) { return s.is_pattern == is_pattern && s.text == text; });
      if (has_it) continue;
      listener->subscriptions.push_back({std::string(text), is_pattern, 0});
      if (is_pattern) {
        remote_.psubscribe(text);
      } else {
        remote_.subscribe(text);
      }
    }
  }
  if (listener->subscriptions.size() > kMaxSubscriptions) {
    for (; listener->subscriptions.size() > had; listener->subscriptions.pop_back()) {
      drop(listener->subscriptions.back());
    }
    if (had == 0) listeners_.pop_back();
    return requests_.refuse(
        request,
        wire::rpc::too_many("a client may have at most 64 subscriptions", kMaxSubscriptions));
  }
  const bool waits = listener->subscriptions.size() > had && requests_.redis_is_there() &&
                     waits_for_redis(*listener);
  if (!waits) return requests_.done(request);
  listener->subscriptions.back().call = rpc_.defer(*request.call);
}

void EventBus::drop(const Subscription& subscription) {
  rpc_.answer(subscription.call, "{}");
  if (subscription.is_pattern) {
    remote_.punsubscribe(subscription.text);
  } else {
    remote_.unsubscribe(subscription.text);
  }
}

void EventBus::unsubscribe(Request& request) {
  if (request.check_only || request.call == nullptr) return;
  const wire::JsonView channels = request.values[kChannels];
  const wire::JsonView patterns = request.values[kPatterns];
  if (!channels.exists() && !patterns.exists()) {
    on_client_closed(request.call->client);
    return requests_.done(request);
  }
  if (Listener* listener = find(request.call->client)) {
    std::string scratch;
    for (const bool is_pattern : {false, true}) {
      const wire::JsonView list = is_pattern ? patterns : channels;
      if (!list.exists()) continue;
      for (const wire::JsonView element : list.elements()) {
        const std::string_view text = *element.string(scratch);
        std::erase_if(listener->subscriptions, [&](const Subscription& s) {
          if (s.is_pattern != is_pattern || s.text != text) return false;
          drop(s);
          return true;
        });
      }
    }
    answer_waiting(*listener);
    if (listener->subscriptions.empty()) on_client_closed(request.call->client);
  }
  requests_.done(request);
}

void EventBus::on_client_closed(ipc::ClientId client) {
  Listener* listener = find(client);
  if (listener == nullptr) return;
  for (const Subscription& subscription : listener->subscriptions) drop(subscription);
  listeners_.erase(listeners_.begin() + (listener - listeners_.data()));
}

size_t EventBus::subscriptions() const {
  size_t count = 0;
  for (const Listener& listener : listeners_) count += listener.subscriptions.size();
  return count;
}

size_t EventBus::subscriptions_of(ipc::ClientId client) const {
  for (const Listener& listener : listeners_) {
    if (listener.client == client) return listener.subscriptions.size();
  }
  return 0;
}

}  // namespace nb::agent
