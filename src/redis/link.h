// Link: keeps the outbox flowing to Redis, on a Connection of its own. When the connection is
// there, the link writes every slot again, then the events that wait, and goes on; whatever fails,
// it tries again, for ever.
//
// A refusal that will be the same the next time (redis/trouble) costs what it concerns: the value,
// the entry or the message. Any other error is a failure of the link: what waits is kept. If what
// is refused is the node's own beat (a slot with `echo`, and what belongs to it), the link is
// degraded.
//
// The callbacks come on the loop's thread; they may fill the outbox, call wake() and ask queries,
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
  std::string words;  // what went wrong last, or what is refused; for a person; empty when steady
  std::optional<Duration> round_trip;  // of the last PING on this connection
  uint64_t connects = 0;               // times it became steady
  uint64_t failures = 0;
};

struct LinkEvents {
  Delegate<void(const LinkStatus&)> on_status;  // state changed
  // Of slots with `echo`.
  Delegate<void(const outbox::Slot&, const SlotEcho&)> on_slot_stored;
  // A message is put on the wire; a subscriber of this process may hear it soon. A notice is one of
  // the outbox's own, that nobody here has heard yet.
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
  // Something was put into the outbox: it goes out before the loop next waits.
  void wake();
  // Sends one command (its words) to a database of the greeting, after all that the outbox held
  // when it was asked, as far as there was room in flight. `done` is called exactly once, unless
  // cancelled: with the answer, an error reply included, or without if the connection ends first;
  // but not when the link is destroyed. 0, and no call, if there is no greeted connection or too
  // many queries wait. `ahead_of_writes`: before what the outbox holds and has not yet sent.
  enum class QueryOrder : uint8_t { behind_writes, ahead_of_writes };
  uint64_t query(int db, std::span<const std::string_view> command,
                 Delegate<void(const QueryReply&)> done,
                 QueryOrder order = QueryOrder::behind_writes);
  void cancel(uint64_t query);
  // Other options. If they change where or as whom to connect, it does so anew at once.
  void reconfigure(LinkOptions options);
  // No more will be put in: calls `on_finished` (on a later turn) when all is stored, or when the
  // deadline has passed, or at once if there is no connection and one more try gets none; then the
  // link is stopped.
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
  // What of a beat may be refused.
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
  std::array<std::string, kOwnParts> own_refusals_;  // Redis' words; empty: it takes that part
  std::vector<Said> said_;                           // refusals that were logged
  std::string first_refusal_;                        // on this connection
  bool confirmed_ = false;                           // a write of ours was, on this connection
  bool beat_settled_ = false;                        // a slot with `echo` was, be it refused
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
