// Link: writes the outbox to Redis, on a Connection of its own. On a new connection the link writes
// every slot again, then the events that wait, and goes on. Whatever fails, the link tries again,
// for ever.
//
// A refusal that will be the same the next time (redis/trouble) costs only what it concerns: the
// value, the entry or the message. Any other error is a failure of the link, and what waits is
// kept. If Redis refuses the node's own beat (a slot with `echo`, and what belongs to it), the link
// is degraded.
//
// The callbacks come on the loop's thread. They may fill the outbox, call wake() and ask queries,
// but must not destroy the link.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "outbox/outbox.h"
#include "redis/connection.h"
#include "redis/pipeline.h"
#include "redis/send_window.h"
#include "uv/timer.h"

namespace nb::redis {

struct LinkStatus {
  LinkState state = LinkState::stopped;
  Trouble trouble = Trouble::none;
  std::string words;  // for a person: what failed last, or what is refused; empty when steady
  std::optional<Duration> round_trip;  // of the last PING on this connection
  uint64_t connects = 0;               // times it became steady
  uint64_t failures = 0;
};

struct LinkEvents {
  Delegate<void(const LinkStatus&)> on_status;  // state changed
  // Of slots with `echo`.
  Delegate<void(const outbox::Slot&, const SlotEcho&)> on_slot_stored;
  // A message goes out; a subscriber of this process may hear it soon. A notice is a message of the
  // outbox's own, which no part of this process has seen yet.
  Delegate<void(std::string_view channel, std::string_view payload, bool is_notice)> on_publish;
};

class Link {
 public:
  // All references must outlive the link.
  Link(uv::Loop& loop, const Log& log, outbox::Outbox& outbox, LinkOptions options,
       LinkEvents events, MakeTransport make_transport);
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void start();
  // Something was put into the outbox. It goes out before the loop next waits.
  void wake();
  // Sends one command (its words) to a database of the greeting. `behind_writes` sends what the
  // outbox holds first, as far as there is room; `ahead_of_writes` does not. `done` is called
  // exactly once: with the answer, which may be an error, or without one if the connection ends
  // first. `done` is not called after cancel(), nor when the link is destroyed. 0 means that `done`
  // will not be called: no connection is greeted, or too many queries wait.
  enum class QueryOrder : uint8_t { behind_writes, ahead_of_writes };
  uint64_t query(int db, std::span<const std::string_view> command,
                 Delegate<void(const QueryReply&)> done,
                 QueryOrder order = QueryOrder::behind_writes);
  void cancel(uint64_t query);
  // Takes other options. If they change where or as whom to connect, the link connects anew at
  // once.
  void reconfigure(LinkOptions options);
  // Nothing more will be put into the outbox. Calls `on_finished` on a later turn: when all is
  // stored, when the deadline has passed, or when there is no connection and one more try gets
  // none. Then the link is stopped.
  void finish(Duration deadline, Delegate<void()> on_finished);

  const LinkStatus& status() const { return status_; }

 private:
  ConnectionEvents connection_events();
  void on_state(LinkState state);
  std::optional<Failure> on_reply(Reply reply);
  void on_replies_done();
  void on_lost(const Failure& failure, std::optional<Culprit> culprit, bool news);
  void on_turn();
  void send_early();
  void send_units();
  void on_finish_deadline();
  void forget_connection(std::string_view words);
  void publish_status();

  void on_settled(const outbox::Unit& unit, const UnitResult& result);
  void on_aborted(const outbox::Unit& unit) { outbox_.aborted(unit); }

  struct Said {
    Command command;
    unsigned number;  // of the refusal
    size_t key;       // of the key or channel, hashed
  };
  // The parts of a beat that may be refused.
  enum OwnPart : uint8_t { kHealth, kHistory, kMessages, kTransaction, kOwnParts };
  void note_own(OwnPart part, std::string_view words);
  void say_refusal(Command command, std::string_view what, std::string_view words);
  void settle_state();

  uv::Loop& loop_;
  const Log& log_;
  outbox::Outbox& outbox_;
  LinkEvents events_;
  LinkStatus status_;
  Connection connection_;
  std::optional<Pipeline> pipeline_;                 // while there is a connection
  std::array<std::string, kOwnParts> own_refusals_;  // Redis' words; empty: Redis takes that part
  std::vector<Said> said_;                           // refusals that were logged
  std::string first_refusal_;                        // on this connection
  bool confirmed_ = false;                           // a write was confirmed on this connection
  bool beat_settled_ = false;                        // a slot with `echo` was stored or refused
  bool was_steady_ = false;                          // on this connection
  uint64_t last_query_ = 0;
  bool sending_ = false;
  SendWindow window_{SendWindow::kWrites};
  bool window_was_full_ = false;
  size_t wakes_ = 0;  // since it was last sent

  uv::Timer finish_deadline_;
  Delegate<void()> on_finished_;
  bool finishing_ = false;
};

}  // namespace nb::redis
