// Subscriber: what is published on the server, on a connection of its own, which is there only
// while something is wanted. After an interruption it restores its subscriptions; what was
// published meanwhile is lost, and that is told as a gap.
//
// The callbacks come on the loop's thread; they may subscribe, unsubscribe and stop, but must not
// reconfigure or destroy the subscriber.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "redis/connection.h"

namespace nb::redis {

struct SubscriberEvents {
  // A message that matches a channel and patterns comes once for each of them; `pattern` is empty
  // for the channel itself. Valid during the call.
  Delegate<void(std::string_view channel, std::string_view payload, std::string_view pattern)>
      on_message;
  // The subscriber listens again to all that is wanted, after an interruption of this length.
  Delegate<void(WallTime from, WallTime to)> on_gap;
  // steady: the server has confirmed or refused all that was wanted; stopped: nothing is wanted.
  // Also when, while it is steady, more has been confirmed or refused.
  Delegate<void(LinkState)> on_status;
};

class Subscriber {
 public:
  // All references must outlive the subscriber. It does not use the options' databases, and appends
  // "-sub" to the client's name.
  Subscriber(uv::Loop& loop, const Log& log, LinkOptions options, SubscriberEvents events,
             MakeTransport make_transport);
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;
  ~Subscriber();

  // Counted: each subscribe() needs an unsubscribe() of its own.
  void subscribe(std::string_view channel);
  void psubscribe(std::string_view pattern);
  void unsubscribe(std::string_view channel);
  void punsubscribe(std::string_view pattern);
  // How many distinct patterns are wanted.
  size_t patterns() const { return patterns_.size(); }

  // Takes other options. If they change where or as whom to connect, the subscriber connects anew
  // at once.
  void reconfigure(LinkOptions options);
  // Forgets all subscriptions, and closes.
  void stop();

  LinkState state() const { return connection_.state(); }
  // How far a subscription is, on this connection; `refused` for a name that is not wanted.
  enum class Stage : uint8_t { wanted, sent, listening, refused };
  Stage stage(std::string_view name, bool is_pattern) const;
  // The subscriber is interrupted. What it misses until it listens again will be told as a gap.
  bool will_tell_gap() const { return deaf_since_.has_value(); }
  Trouble trouble() const { return connection_.trouble(); }
  uint64_t failures() const { return connection_.failures(); }

 private:
  struct Wanted {
    uint32_t count = 0;
    Stage stage = Stage::wanted;  // on this connection
    bool said = false;            // the refusal was logged
  };
  using Subscriptions = std::map<std::string, Wanted, std::less<>>;
  enum class Command : uint8_t { subscribe, unsubscribe, psubscribe, punsubscribe };
  // A command that waits for its answer.
  struct Sent {
    Command command;
    std::string name;
  };

  ConnectionEvents connection_events();
  void on_state(LinkState state);
  bool on_message(Reply reply);
  std::optional<Failure> on_reply(Reply reply);
  void on_replies_done();
  void on_lost(const Failure& failure, std::optional<Culprit> culprit, bool news);
  void on_turn();

  void want(Subscriptions& all, std::string_view name);
  void unwant(Subscriptions& all, Command command, std::string_view name);
  const std::string& prefix() const { return connection_.options().prefix; }
  bool wants_anything() const { return !channels_.empty() || !patterns_.empty(); }
  void send(Command command, std::string_view name);
  void send_wanted();
  void refused(Subscriptions& all, std::string_view name, std::string_view words);
  void maybe_steady();
  void interrupted();
  void forget_connection();

  uv::Loop& loop_;
  const Log& log_;
  SubscriberEvents events_;
  Subscriptions channels_;
  Subscriptions patterns_;
  std::deque<Sent> sent_;
  bool confirmed_ = false;    // something was confirmed or refused, and not told yet
  WallTime last_listened_{};  // when the server last spoke, or the first subscription began
  std::optional<WallTime> deaf_since_;
  Connection connection_;
};

}  // namespace nb::redis
