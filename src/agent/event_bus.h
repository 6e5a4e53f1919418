// EventBus: who of the local clients listens to what. Local events go to them at once, Redis or
// not, and to Redis through the outbox; remote ones come from Redis, without the own echo.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/request.h"
#include "ipc/rpc_server.h"
#include "redis/echo_filter.h"
#include "redis/subscriber.h"
#include "wire/json_guard.h"
#include "wire/json_view.h"

namespace nb::agent {

// What goes out with an event.
struct Publication {
  std::string_view channel;
  std::string_view payload;  // JSON, one line
  Duration max_age{};
  bool record = false;  // into stream:node_events:{node} too
};

class EventBus {
 public:
  struct Options {
    std::string node_events_stream;
    int db = 0;
    uint64_t events_length = 0;
  };

  EventBus(uv::Loop& loop, ipc::RpcServer& rpc, Requests& requests, redis::Subscriber& remote,
           Options options);

  void reconfigure(uint64_t events_length) { options_.events_length = events_length; }

  // Writes one unit: `slot` and `entry` may be null; with `record` the entry is the event's own,
  // and `entry` is not looked at. Answers the request.
  bool publish(Request& request, const Publication& event, const outbox::SlotUpdate* slot = nullptr,
               const outbox::EntryUpdate* entry = nullptr, AnswerKind kind = AnswerKind::empty,
               std::string_view result = "{}");
  // The same without an event.
  bool write(Request& request, const outbox::SlotUpdate& slot, const outbox::EntryUpdate* entry) {
    return requests_.write(request, &slot, entry, nullptr);
  }
  // To local clients only: what went to Redis by another way.
  void deliver_local(std::string_view channel, std::string_view payload);

  void subscribe(Request& request);    // channels, patterns
  void unsubscribe(Request& request);  // channels, patterns
  void on_client_closed(ipc::ClientId client);

  // From the link and the subscriber.
  void on_publish(std::string_view channel, std::string_view payload, bool is_notice);
  void on_remote(std::string_view channel, std::string_view payload, std::string_view pattern);
  void on_gap(WallTime from, WallTime to);
  void on_remote_state(redis::LinkState state);

  struct Counters {
    uint64_t delivered = 0;
    uint64_t echoes_dropped = 0;
    uint64_t gaps = 0;
  };
  const Counters& counters() const { return counters_; }
  size_t subscriptions() const;
  size_t subscriptions_of(ipc::ClientId client) const;

 private:
  struct Subscription {
    std::string text;
    bool is_pattern = false;
    ipc::Token call = 0;  // that it came with, answered when Redis has confirmed all
  };
  struct Listener {
    ipc::ClientId client = 0;
    std::vector<Subscription> subscriptions;
  };

  Listener* find(ipc::ClientId client);
  // The subscription that a message comes by, the client's oldest of those that match; or null. One
  // that matches several comes from Redis by each of them that it does not refuse: this tells by
  // which it counts.
  const Subscription* match(const Listener& listener, std::string_view channel, bool remote) const;
  void notify(const Listener& listener, const Subscription& by, std::string_view channel,
              std::string_view payload, bool remote);
  void drop(const Subscription& subscription);
  // Redis has neither confirmed nor refused all of them yet, and what is missed meanwhile would not
  // be told as a gap.
  bool waits_for_redis(const Listener& listener) const;
  void answer_waiting(Listener& listener);

  uv::Loop& loop_;
  ipc::RpcServer& rpc_;
  Requests& requests_;
  redis::Subscriber& remote_;
  Options options_;
  redis::EchoFilter echo_;
  wire::JsonGuard guard_;
  std::vector<Listener> listeners_;
  Counters counters_;
  std::string line_;  // reused
  std::string compact_;
};

}  // namespace nb::agent
