// Connection: a connection to the server: how it is made, greeted (AUTH, its name, SELECT, PING),
// watched (a deadline on the oldest command, a PING in silence), and how long to stay away when it
// has failed. What is asked on it, and what an answer means, is the business of its owner: Link,
// Reader and Subscriber stand on it.
//
// The owner's functions come on the loop's thread. They may do anything here but reconfigure or
// destroy the connection.
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
  size_t command = 0;  // of the owner's that it answers, counted from the oldest
  ReplyLimit limit;    // that it is beyond; if none, it is not the protocol
};

class ConnectionOwner {
 public:
  // Each change on the way up, and greeting's end (`replaying`): from there on commands may be
  // sent.
  virtual void on_state(LinkState state) = 0;
  // Each reply comes here first: whether it is a message, which answers nothing.
  virtual bool on_message(Reply) { return false; }
  // The answer to the oldest command of the owner. What it returns ends the connection.
  virtual std::optional<Failure> on_reply(Reply reply) = 0;
  // All replies that have come together are handled.
  virtual void on_replies_done() = 0;
  // The connection has failed and is gone. `culprit`: if it was by a reply that is not the protocol
  // or beyond a limit. retry() tries again when it may. `news`: the same trouble has not been told
  // before.
  virtual void on_lost(const Failure& failure, std::optional<Culprit> culprit, bool news) = 0;
  // Once a turn in which flush_soon() was called, before what was formatted is sent.
  virtual void on_turn() = 0;

 protected:
  ~ConnectionOwner() = default;
};

class Connection {
 public:
  // All references must outlive it. `role` stands behind the client's name.
  Connection(uv::Loop& loop, LinkOptions options, std::string_view role, ConnectionOwner& owner,
             MakeTransport make_transport);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // Connects, if it is closed. After a failure it has to stay away for a while: then false.
  bool open();
  // Opens when it may, if it is closed.
  void retry();
  // Tries at once, if it waits for its next try.
  void try_now();
  // Ends, without a further try.
  void close();
  // It is of no more use to its owner: as if it had failed by itself.
  void give_up(const Failure& failure) { fail(failure, std::nullopt); }
  // The server is known to be there: the next open() need not wait.
  void forgive() { away_until_ = MonoTime::min(); }
  // Other options. True if they lead elsewhere: then the connection was dropped, and open() may be
  // called at once.
  bool reconfigure(LinkOptions options);

  LinkState state() const { return machine_.state(); }
  bool greeted() const { return machine_.state() >= LinkState::replaying; }
  // From `replaying` on: all that was wanted is there; or something of it is refused, and why.
  void set_steady();
  void set_degraded(Trouble trouble);
  Trouble trouble() const { return machine_.trouble(); }
  uint64_t failures() const { return failures_; }
  // How long it stays away after the last failure.
  Duration away() const { return away_until_ - loop_.now(); }
  // Of the last PING on this connection.
  std::optional<Duration> round_trip() const;
  const LinkOptions& options() const { return options_; }
  // From the next connection on, a reply may take so many bytes, where the options allow more;
  // `too_long`: what is said of one that takes more than these.
  void limit_replies(size_t bytes, const char* too_long) {
    max_reply_bytes_ = bytes;
    too_long_ = too_long;
  }
  // In silence nothing is asked: whoever needs the server next will find out.
  void leave_in_silence() { pings_ = false; }

  // Only while it is greeted: commands are formatted into output(), and expect() is called with how
  // many replies they will have.
  std::string& output();
  void expect(uint32_t replies);
  // Asks for a fresh round trip if the last PING is older than the silence that is allowed.
  void ping_if_due();
  // Formatted, and not yet taken by the kernel.
  size_t unsent_bytes() const;
  // Writes what was formatted now. If that fails the connection does, but not from within this
  // call: at the end of the turn.
  void write_early();
  // What was formatted goes out before the loop next waits.
  void flush_soon() { soon_.request(); }

 private:
  struct Wire;  // what ends with the connection

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
  ConnectionOwner& owner_;
  MakeTransport make_transport_;
  size_t max_reply_bytes_ = SIZE_MAX;  // of the owner; the options may allow less
  const char* too_long_ = nullptr;
  bool pings_ = true;
  LinkMachine machine_;
  std::unique_ptr<Wire> wire_;
  MonoTime away_until_ = MonoTime::min();
  uint64_t failures_ = 0;

  uv::Timer retry_;  // the only door to connect() after a failure
  uv::Timer check_;  // silence and deadlines
  uv::Soon soon_;
};

}  // namespace nb::redis
