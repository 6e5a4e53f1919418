// Listeners: which local client listens to which channels. Local events go to them at once, also
// while Redis is away, and to Redis through the outbox. Remote events come from Redis, without our
// own echo. A client that asked for a replay gets the recorded ones out of the streams instead
// (cell/replay.h).
//
// The cost of an event is bounded, since the publisher pays for the subscriptions of others. Each
// distinct pattern is matched once, however many clients have subscribed to it. The clients that
// get the messages of a channel are remembered until the next channel. An event is checked and
// written once, and copied for each listener. Redis pays, too, for each pattern that it is asked
// for, with each message of the whole cell. So an agent asks for few patterns and for no expensive
// one, and asks for `*` instead of the others.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/glob.h"
#include "cell/bus_filter.h"
#include "cell/bus_hold.h"
#include "cell/replay.h"
#include "json/guard.h"
#include "json/view.h"
#include "redis/echo_filter.h"
#include "redis/link.h"
#include "redis/reader.h"
#include "redis/subscriber.h"
#include "rpc/front_end.h"
#include "rpc/method.h"
#include "uv/loop.h"

namespace nb::cell {

class Listeners final : private ReplayHost {
 public:
  // All references must outlive it.
  Listeners(uv::Loop& loop, const Log& log, const node::Identity& identity, rpc::FrontEnd& front,
            const redis::Link& link, redis::Subscriber& remote, redis::Reader& reader,
            const BusFilter& bus);
  ~Listeners();

  // To local clients only: for events that went to Redis in another way. `recorded`: a client that
  // asked for a replay gets the event from there.
  void deliver_local(std::string_view channel, std::string_view payload, bool recorded = false);

  static const rpc::Method kMethods[2];
  void subscribe(rpc::Call& call);
  void unsubscribe(rpc::Call& call);
  void on_client_closed(rpc::ClientId client);
  void stop();

  // From the link and the subscriber.
  void on_publish(std::string_view channel, std::string_view payload, bool is_notice);
  void on_remote(std::string_view channel, std::string_view payload, std::string_view pattern);
  void on_gap(WallTime from, WallTime to);
  void on_remote_state(redis::LinkState state);

  struct Counters {
    uint64_t delivered = 0;
    uint64_t echoes_dropped = 0;
    uint64_t gaps = 0;
    uint64_t too_late = 0;
  };
  const Counters& counters() const { return counters_; }
  size_t subscriptions() const;
  size_t subscriptions_of(rpc::ClientId client) const;

 private:
  struct Listener;
  // A client that listens to a topic, and at which place among all subscriptions.
  struct Member {
    Listener* listener;
    uint64_t place;
    Replay* replay = nullptr;  // brings this channel
  };
  // A channel or a pattern with subscribers.
  struct Topic {
    bool is_pattern;
    std::string way;  // by which its messages come from Redis: a channel, or some pattern
    std::vector<Member> members;
  };
  using Topics = std::map<std::string, Topic, std::less<>>;
  struct Subscription {
    Topics::iterator topic;
    rpc::Token call = 0;  // that it came with, answered when Redis has confirmed all
  };
  struct Listener {
    rpc::ClientId client = 0;
    std::vector<Subscription> subscriptions;
    size_t pattern_cost = 0;
    std::vector<std::unique_ptr<Replay>> replays;
    // Of the messages that are being routed: by which of its subscriptions they come.
    uint64_t route = 0;
    uint64_t place = 0;
    const Topics::value_type* by = nullptr;
  };

  Listener* find(rpc::ClientId client);
  Topics& topics(bool is_pattern) { return is_pattern ? patterns_ : channels_; }
  // Finds for each listener the subscription by which it gets the messages of this channel: its
  // oldest one that matches, or one with a replay. A message that matches several comes from Redis
  // by each of them that Redis does not refuse: this says by which it counts.
  void route(std::string_view channel, bool remote);
  void add_to_route(const Topics::value_type& topic, bool remote);
  void forget_route() { routed_ = false; }
  // Calls visit(member, by which topic, whether it is that topic's first) for the members of the
  // route. For a remote message, the copy that came by `pattern` is for the clients that get it by
  // that pattern.
  template <class Visit>
  void for_each_routed(bool remote, std::string_view pattern, Visit visit);
  // Also to those with a replay: at once, or when the replay finds out that it is not recorded, or
  // is published once more (wire/repeated.h).
  enum class Replays : uint8_t { at_once, find_out, find_out_repeated, none };
  void deliver(std::string_view channel, std::string_view payload, bool remote, Replays replays,
               std::string_view pattern = {});
  // To one client, with the part behind the event. False: there is no room.
  bool deliver_one(rpc::ClientId client, std::string_view channel, std::string_view payload,
                   std::string_view rest, bool may_be_lost);
  // `checked`: if it is too late, Redis was asked for its time since the message came.
  void on_bus(const RemoteMessage& message, bool checked);
  void hand_on(const RemoteMessage& message, bool for_now);
  void begin_line(std::string_view channel, size_t payload_bytes);
  void wake_replays(std::string_view channel, std::string_view pattern);
  void start_replay(Listener& listener, rpc::Call& call, json::View channels, json::View patterns,
                    const ReplayStart& start);
  void end_replay(Listener& listener, Replay* replay, const Topics::value_type& topic);
  // Of several replays of a client that have this channel, it comes by one.
  bool comes_by(const Replay& replay, std::string_view channel);
  static void wake(Listener& listener);
  static bool may_remember(const Listener* listener, const ReplayStart& start);
  // All that the client has subscribed to comes from streams.
  static bool misses_nothing(const Listener& listener);

  void put_pattern(std::string_view pattern);

  void on_begun(Replay& replay) override;
  bool has_room(const Replay& replay) override;
  bool on_recorded(const Replay& replay, const Event& event) override;
  bool on_missed(const Replay& replay, std::string_view stream, wire::StreamId after,
                 wire::StreamId before) override;
  bool on_past_told(const Replay& replay, std::string_view mark) override;
  void on_unrecorded(const Replay& replay, const Event& event) override;
  void on_lost(const Replay& replay, WallTime since) override;

  std::string_view way_of(std::string_view text, bool is_pattern) const;
  // A message of the bus is not delivered, since it was sent too long ago.
  void tell_too_late(std::string_view pattern, WallTime sent);
  void write_message(std::string_view payload, bool remote, size_t most);
  void write_line(const Topics::value_type& by, bool remote);
  void add(Listener& listener, std::string_view text, bool is_pattern);
  void drop(Listener& listener, const Subscription& subscription);
  // Redis has neither confirmed nor refused all of them yet, and messages missed meanwhile would
  // not be reported as a gap.
  bool waits_for_redis(const Listener& listener) const;
  void answer_waiting(Listener& listener);

  uv::Loop& loop_;
  const Log& log_;
  const node::Identity& identity_;
  rpc::FrontEnd& front_;
  const redis::Link& link_;
  redis::Subscriber& remote_;
  redis::Reader& reader_;
  const BusFilter& bus_;
  BusHold hold_;
  size_t replays_ = 0;  // of all listeners
  redis::EchoFilter echo_;
  json::Guard guard_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  Topics channels_, patterns_;
  uint64_t last_place_ = 0;

  // The channel of the last route, as long as nothing has changed.
  bool routed_ = false;
  bool routed_remote_ = false;
  std::string routed_channel_;
  uint64_t last_route_ = 0;
  std::vector<const Topics::value_type*> matching_;
  GlobText channel_text_;

  Counters counters_;
  std::string line_;  // reused: the part of a message for all, and behind it the part that differs
  size_t message_ = 0;  // of line_: so much is for all
  std::string compact_, omitted_, rest_;
};

}  // namespace nb::cell
