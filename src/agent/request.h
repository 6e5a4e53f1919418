// Request: one call on its way through a method, from a client or from the will of one that died.
// Requests: answers them, at once or when Redis has confirmed what they wrote.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ticket_table.h"
#include "ipc/rpc_server.h"
#include "json/view.h"
#include "outbox/outbox.h"
#include "redis/link.h"
#include "rpc/error.h"
#include "uv/timer.h"

namespace nb::agent {

struct Request {
  const ipc::Call* call = nullptr;     // null: from a will
  std::span<const json::View> values;  // by the index in the method's params
  outbox::Owner owner = 0;             // the client whose call or will it is; 0: the agent's
  uint32_t user = 0;                   // whose program that is, where the method asks for it
  bool urgent = false;                 // its event goes in the lane for such
  bool check_only = false;             // of a will: is it right? nothing is done
  bool stored = false;                 // answered when Redis has confirmed it
  MonoTime began{};                    // of a call: when it came
  Duration timeout{};                  // then
  std::optional<rpc::Error> error;     // why it was refused, for who asked without a call
};

// What stored() answers with.
enum class AnswerKind : uint8_t { empty, subscribers, given };

class Requests {
 public:
  // The words say how the link is, for an answer that waits in vain.
  using LinkWords = std::string (*)(void* user);

  Requests(uv::Loop& loop, ipc::RpcServer& rpc, outbox::Outbox& outbox, redis::Link& link,
           LinkWords link_words, void* user);

  void done(Request& request, std::string_view result = "{}");
  void refuse(Request& request, rpc::Error error);

  const outbox::Slots& slots() const { return outbox_.slots(); }
  // Puts one unit into the outbox, and answers now or when it is stored. False: refused, and said.
  bool write(Request& request, const outbox::SlotUpdate* slot, const outbox::EntryUpdate* entry,
             const outbox::MessageUpdate* message, AnswerKind kind = AnswerKind::empty,
             std::string_view result = "{}");

  // From the outbox.
  void on_settled(const outbox::Settled& settled);
  void on_room();
  // The link has another state.
  void on_link_status();
  // Nobody is there any more to hear what became of its calls.
  void on_client_closed(ipc::ClientId client);

  size_t waiting() const { return pending_.size(); }
  bool redis_is_there() const { return link_.status().state >= redis::LinkState::replaying; }

 private:
  struct Pending {
    ipc::Token token = 0;
    ipc::ClientId client = 0;
    MonoTime deadline{};
    AnswerKind kind{};
    std::string result;
  };

  static bool waits(const Request& request) {
    return request.stored && request.call != nullptr && !request.call->is_notification();
  }
  WallTime wall_at(MonoTime now);
  void hold(ipc::ClientId client);
  void forget_given_up();
  void give_up(Request& request, outbox::Waiter waiter, rpc::Error error);
  void on_deadline();
  void arm(MonoTime deadline);

  uv::Loop& loop_;
  ipc::RpcServer& rpc_;
  outbox::Outbox& outbox_;
  redis::Link& link_;
  LinkWords link_words_;
  void* user_;
  uv::Timer deadline_;
  TicketTable<Pending> pending_;     // a ticket is the outbox's Waiter
  size_t given_up_ = 0;              // whom the outbox may still know
  std::vector<ipc::ClientId> held_;  // of them nothing more is read until there is room
  MonoTime wall_taken_{};
  WallTime wall_{};  // then
};

}  // namespace nb::agent
