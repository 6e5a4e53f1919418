// Writes: the one way from a method to the outbox. A call is answered at once, or when Redis has
// confirmed its data.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ticket_table.h"
#include "outbox/outbox.h"
#include "redis/link.h"
#include "rpc/call.h"
#include "rpc/front_end.h"
#include "uv/loop.h"
#include "uv/timer.h"

namespace nb::cell {

// How the link is, for an answer that waits in vain.
std::string link_words(const redis::LinkStatus& status);

// The kinds of answers to a call.
enum class AnswerKind : uint8_t {
  empty,  // {}
  // how many subscribers received its message, once that is known; null: it was too late
  subscribers,
  for_now,  // likewise, but too late is an error
  given,    // the method's own result
};

class Writes {
 public:
  // All references must outlive it.
  Writes(uv::Loop& loop, rpc::FrontEnd& front, outbox::Outbox& outbox, redis::Link& link);

  // Puts one unit into the outbox, and answers the call now or when it is stored. Each of the three
  // parts may be null. False: the unit was refused, and so is the call.
  bool write(rpc::Call& call, const outbox::SlotUpdate* slot, const outbox::EntryUpdate* entry,
             const outbox::MessageUpdate* message, AnswerKind kind = AnswerKind::empty,
             std::string_view result = "{}");
  const outbox::Slots& slots() const { return outbox_.slots(); }

  // From the outbox.
  void on_settled(const outbox::Settled& settled);
  void on_room();
  // The link has another state.
  void on_link_status();
  // The client has gone, so the outcomes of its calls are not sent.
  void on_client_closed(rpc::ClientId client);

  size_t waiting() const { return pending_.size(); }
  bool redis_is_there() const { return link_.status().state >= redis::LinkState::replaying; }

 private:
  struct Pending {
    rpc::Token token = 0;
    rpc::ClientId client = 0;
    MonoTime deadline{};
    AnswerKind kind{};
    std::string result;
  };

  WallTime wall_at(MonoTime now);
  void hold(rpc::ClientId client);
  void forget_given_up();
  void give_up(rpc::Call& call, outbox::Waiter waiter, const rpc::Error& error);
  void on_deadline();
  void arm(MonoTime deadline);

  uv::Loop& loop_;
  rpc::FrontEnd& front_;
  outbox::Outbox& outbox_;
  redis::Link& link_;
  uv::Timer deadline_;
  TicketTable<Pending> pending_;     // a ticket is the outbox's Waiter
  size_t given_up_ = 0;              // those that the outbox may still know
  std::vector<rpc::ClientId> held_;  // of them nothing more is read until there is room
  MonoTime wall_taken_{};
  WallTime wall_{};  // then
};

}  // namespace nb::cell
