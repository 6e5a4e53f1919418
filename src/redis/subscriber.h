// Subscriber: what is published on the server, on a connection of its own, which is there only
// while something is wanted. It finds silence, backs off and restores its subscriptions like the
// link; what was published meanwhile is lost, and that is told as a gap.
//
// The callbacks come on the loop's thread; they may subscribe and unsubscribe, but must not
// destroy the subscriber.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "redis/link.h"
#include "redis/link_state.h"
#include "redis/reply_reader.h"
#include "redis/transport.h"
#include "uv/prepare.h"
#include "uv/timer.h"

namespace nb::redis {

struct SubscriberEvents {
  // A message that matches a channel and patterns comes once for each; `pattern` is empty for the
  // channel itself. Valid during the call.
  Delegate<void(std::string_view channel, std::string_view payload, std::string_view pattern)>
      on_message;
  // It listens again to all that is wanted, after an interruption of so long.
  Delegate<void(WallTime from, WallTime to)> on_gap;
  // steady: the server has confirmed all that is wanted; stopped: nothing is.
  Delegate<void(LinkState)> on_status;
};

class Subscriber {
 public:
  // All references must outlive it. Of the options, the databases are not used; the client's name
  // gets "-sub" behind it.
  Subscriber(uv::Loop& loop, const Log& log, LinkOptions options, SubscriberEvents events,
             MakeTransport make_transport);
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;

  // Counted: as many times as it was subscribed to, so often it is to be unsubscribed.
  void subscribe(std::string_view channel);
  void psubscribe(std::string_view pattern);
  void unsubscribe(std::string_view channel);
  void punsubscribe(std::string_view pattern);

  // Other options. If they change where or as whom to connect, it does so anew at once.
  void reconfigure(LinkOptions options);
  // Forgets what was wanted, and closes.
  void stop();

  LinkState state() const { return machine_.state(); }
  Trouble trouble() const { return machine_.trouble(); }
  uint64_t failures() const { return failures_; }

 private:
  enum class Stage : uint8_t {
    wanted,  // not yet sent on this connection
    sent,
    listening,
    refused,  // by the server, on this connection
  };
  struct Wanted {
    uint32_t count = 0;
    Stage stage = Stage::wanted;
    bool said = false;  // that it is refused
  };
  // Channels under 'c', patterns under 'p'.
  using Subscriptions = std::map<std::string, Wanted, std::less<>>;
  // A command that waits for its answer.
  struct Sent {
    enum class Kind : uint8_t { auth, client_name, ping, subscribe, unsubscribe };
    Kind kind = Kind::ping;
    bool pattern = false;
    MonoTime at{};
    std::string name;
  };

  void want(Subscriptions& all, std::string_view name);
  void unwant(Subscriptions& all, std::string_view name);
  bool wants_anything() const { return !channels_.empty() || !patterns_.empty(); }
  void open();
  void close();
  void try_to_connect();
  void on_stage(uv::DialStage stage);
  void on_connected(Status& status);
  void on_data(std::string_view bytes);
  void on_end(std::string_view why) { fail(Trouble::closed, why); }
  void on_turn();
  void on_check();
  void greet(MonoTime now);
  void ping(MonoTime now);
  void send_wanted();
  void command(Sent::Kind kind, bool pattern, std::string_view name, MonoTime now);
  bool take(const redisReply& reply);
  bool take_push(const redisReply& reply);
  bool take_answer(const redisReply& reply);
  void refuse(const Sent& sent, std::string_view words);
  void maybe_steady();
  void flush();
  void arm_check();
  void fail(Trouble trouble, std::string_view words);
  void drop_connection();
  void enter(LinkState state);

  uv::Loop& loop_;
  const Log& log_;
  LinkOptions options_;
  SubscriberEvents events_;
  MakeTransport make_transport_;
  LinkMachine machine_;
  Subscriptions channels_;
  Subscriptions patterns_;

  // Of one connection.
  struct Connection;
  std::unique_ptr<Connection> connection_;
  std::optional<WallTime> deaf_since_;  // interrupted, and not yet restored
  uint64_t failures_ = 0;

  uv::Timer retry_;  // the only door to connect()
  uv::Timer check_;  // silence and deadlines
  uv::Prepare turn_;
};

}  // namespace nb::redis
