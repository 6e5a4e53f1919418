// Connection: one connection to the server. It knows how to reach the server, what to say first
// (AUTH, a name, SELECT, PING), when the server is silent (a deadline on the oldest command, a PING
// in silence), and how long to stay away after a failure. What is asked, and what a reply means, is
// the owner's business: Link, Reader and Subscriber each stand on a Connection.
//
// The owner is called on the loop's thread. From inside such a call the owner may do anything here
// but reconfigure or destroy the connection.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/ring.h"
#include "redis/link_options.h"
#include "redis/link_state.h"
#include "redis/reply_reader.h"
#include "redis/transport.h"
#include "uv/soon.h"
#include "uv/timer.h"

namespace nb::redis {

// The reply by which a connection failed.
struct Culprit {
  size_t command = 0;  // the owner's command that it answers, counted from the oldest
  ReplyLimit limit;    // the limit that it is beyond; if none, the reply is not the protocol
};

// What the owner is told.
struct ConnectionEvents {
  // Each step on the way up. From `replaying` on, commands may be sent.
  Delegate<void(LinkState)> on_state;
  // The answer to the owner's oldest command. A failure that is returned ends the connection.
  Delegate<std::optional<Failure>(Reply)> on_reply;
  // Each reply goes here first: true if it is a message, which answers no command.
  Delegate<bool(Reply)> on_message;
  // The replies that have come together are handled.
  Delegate<void()> on_replies_done;
  // The connection has failed and is gone; retry() connects anew when that is allowed. The culprit
  // is set if the failure is a reply that is not the protocol or is beyond a limit. The last
  // argument is true if this trouble has not been told before.
  Delegate<void(const Failure&, std::optional<Culprit>, bool)> on_lost;
  // Once in a turn in which flush_soon() was called, before the output is sent.
  Delegate<void()> on_turn;
};

class Connection {
 public:
  // All references must outlive the connection. `role` is appended to the client's name.
  Connection(uv::Loop& loop, LinkOptions options, std::string_view role, ConnectionEvents events,
             MakeTransport make_transport);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // Connects if the connection is closed. False while it has to stay away after a failure.
  bool open();
  // Connects if the connection is closed, as soon as that is allowed.
  void retry();
  // Connects at once if the connection waits for its next try.
  void try_now();
  // Closes. No further try follows.
  void close();
  // Closes a connection that is of no more use to the owner, as if it had failed by itself.
  void give_up(const Failure& failure) { fail(failure, std::nullopt); }
  // The server is known to be there: the next open() need not wait.
  void forgive() { away_until_ = MonoTime::min(); }
  // Takes other options. True if they lead elsewhere: then the connection is closed, and open() may
  // be called at once.
  bool reconfigure(LinkOptions options);

  LinkState state() const { return machine_.state(); }
  bool greeted() const { return machine_.state() >= LinkState::replaying; }
  // Both only from `replaying` on: the owner has all that it wanted, or some of it is refused.
  void set_steady();
  void set_degraded(Trouble trouble);
  Trouble trouble() const { return machine_.trouble(); }
  uint64_t failures() const { return failures_; }
  // How long the connection still stays away after its last failure.
  Duration away() const { return away_until_ - loop_.now(); }
  // Of the last PING on this connection.
  std::optional<Duration> round_trip() const;
  const LinkOptions& options() const { return options_; }
  // Lowers the limit of the options for the next connections. `too_long` is said of a reply that is
  // beyond this lower limit.
  void limit_replies(size_t bytes, const char* too_long) {
    max_reply_bytes_ = bytes;
    too_long_ = too_long;
  }
  // Sends no PING in silence: the owner finds out when it next needs the server.
  void leave_in_silence() { pings_ = false; }

  // These only while greeted(). The owner adds commands to output(), and calls expect() with the
  // number of replies that they will have.
  std::string& output();
  void expect(uint32_t replies) { expect(replies, loop_.now()); }
  void expect(uint32_t replies, MonoTime now);
  // Sends a PING if the last one is older than the allowed silence.
  void ping_if_due(MonoTime now);
  // When the replies came that are being handled: one look at the clock serves all that came
  // together.
  MonoTime heard_at() const;
  // Bytes that the kernel has not taken yet.
  size_t unsent_bytes() const;
  // Writes the output now. If that fails, the connection fails at the end of the turn, not within
  // this call.
  void write_early();
  // The output is sent before the loop next waits.
  void flush_soon() { soon_.request(); }

 private:
  struct Wire;  // all that ends with the connection

  void dial();
  void on_stage(uv::DialStage stage);
  void on_connected(Status& status);
  void on_data(std::string_view bytes);
  void on_end(std::string_view why) { fail({Trouble::closed, std::string(why)}, std::nullopt); }
  void on_turn();
  void on_check();
  void ping();
  void expect_step(GreetingStep step);
  std::optional<Failure> take(Reply reply);
  std::optional<Failure> take_step(GreetingStep step, MonoTime sent, Reply reply);
  void flush();
  void arm_check();
  void fail(const Failure& failure, std::optional<Culprit> culprit);
  void drop();
  void enter(LinkState state);

  uv::Loop& loop_;
  LinkOptions options_;
  std::string role_;
  ConnectionEvents events_;
  MakeTransport make_transport_;
  size_t max_reply_bytes_ = SIZE_MAX;  // the owner's limit; that of the options may be lower
  const char* too_long_ = nullptr;
  bool pings_ = true;
  LinkMachine machine_;
  std::unique_ptr<Wire> wire_;
  MonoTime away_until_ = MonoTime::min();
  uint64_t failures_ = 0;
  bool in_turn_ = false;  // what the owner adds now is sent at the end of on_turn()

  uv::Timer retry_;  // the only door to connect() after a failure
  uv::Timer check_;  // silence and deadlines
  uv::Soon soon_;
};

}  // namespace nb::redis
