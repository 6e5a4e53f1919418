#include "agent/request.h"

#include <algorithm>

#include "base/text.h"

namespace nb::agent {
namespace {

// More that wait at a time than any client has reason for: memory stays bounded.
constexpr size_t kMaxPending = 4096;

}  // namespace

Requests::Requests(uv::Loop& loop, ipc::RpcServer& rpc, outbox::Outbox& outbox, redis::Link& link,
                   LinkWords link_words, void* user)
    : loop_(loop),
      rpc_(rpc),
      outbox_(outbox),
      link_(link),
      link_words_(link_words),
      user_(user),
      deadline_(loop, Delegate<void()>::to<&Requests::on_deadline>(this)) {}

void Requests::done(Request& request, std::string_view result) {
  if (request.call != nullptr) rpc_.answer(*request.call, result);
}

void Requests::refuse(Request& request, wire::RpcError error) {
  if (request.call != nullptr) {
    rpc_.refuse(*request.call, error);
  } else {
    request.error = std::move(error);
  }
}

bool Requests::write(Request& request, const outbox::SlotUpdate* slot,
                     const outbox::EntryUpdate* entry, const outbox::MessageUpdate* message,
                     AnswerKind kind, std::string_view result) {
  const bool waits = request.stored && request.call != nullptr && !request.call->is_notification();
  if (waits && pending_.size() >= kMaxPending) {
    refuse(request, wire::rpc::queue_full("too many calls wait to be stored", kMaxPending));
    return false;
  }
  outbox::Waiter waiter = 0;
  const MonoTime now = loop_.now();
  if (waits) {
    waiter = ++last_waiter_;
    // Before the outbox gets to know of it, which may settle it at once.
    pending_[waiter] = {rpc_.defer(*request.call), now + request.timeout, kind,
                        std::string(result)};
  }
  switch (outbox_.put(slot, entry, message, now, loop_.clock().wall_now(), waiter)) {
    case outbox::Put::accepted:
      link_.wake();
      if (waits) {
        arm(now + request.timeout);
      } else {
        done(request, result);
      }
      return true;
    case outbox::Put::full:
      give_up(request, waiter,
              wire::rpc::queue_full("the values of state.set take all the room that [outbox] "
                                    "slot_bytes allows: delete some, or raise it",
                                    outbox_.slot_bytes()));
      return false;
    case outbox::Put::too_large:
      if (slot != nullptr && slot->limited) {
        give_up(request, waiter,
                wire::rpc::too_large("larger than all values of state.set together may be "
                                     "([outbox] slot_bytes)",
                                     outbox_.slot_bytes()));
        return false;
      }
      give_up(request, waiter,
              wire::rpc::too_large("larger than all events together may be ([outbox] event_bytes)",
                                   outbox_.events().limits().bytes));
      return false;
  }
  return false;
}

void Requests::give_up(Request& request, outbox::Waiter waiter, wire::RpcError error) {
  const auto at = pending_.find(waiter);
  if (at == pending_.end()) return refuse(request, std::move(error));
  const ipc::Token token = at->second.token;
  pending_.erase(at);
  rpc_.refuse(token, error);
}

void Requests::on_settled(const outbox::Settled& settled) {
  const auto at = pending_.find(settled.waiter);
  if (at == pending_.end()) return;
  const Pending pending = std::move(at->second);
  pending_.erase(at);
  if (pending_.empty()) deadline_.stop();
  switch (settled.outcome) {
    case outbox::Outcome::stored:
      if (pending.kind != AnswerKind::subscribers) {
        rpc_.answer(pending.token, pending.result);
      } else if (settled.subscribers < 0) {
        rpc_.answer(pending.token, "{\"subscribers\":null}");
      } else {
        rpc_.answer(pending.token,
                    format("{\"subscribers\":%lld}", static_cast<long long>(settled.subscribers)));
      }
      break;
    case outbox::Outcome::refused:
      rpc_.refuse(pending.token, wire::rpc::refused_by_redis(settled.words));
      break;
    case outbox::Outcome::dropped:
      rpc_.refuse(pending.token,
                  wire::rpc::dropped("it waited too long, or newer events needed the room"));
      break;
  }
}

// Looks at all of them: they are few, and this happens only when something is not stored in time.
void Requests::on_deadline() {
  const MonoTime now = loop_.now();
  MonoTime next = MonoTime::max();
  for (auto at = pending_.begin(); at != pending_.end();) {
    if (at->second.deadline > now) {
      next = std::min(next, at->second.deadline);
      ++at;
      continue;
    }
    const ipc::Token token = at->second.token;
    at = pending_.erase(at);
    const std::string link = link_words_(user_);
    rpc_.refuse(token, wire::rpc::not_stored(
                           "not yet stored in the time given; it is kept and goes out when it "
                           "can; Redis: " +
                               link,
                           link));
  }
  if (next != MonoTime::max()) arm(next);
}

// The timer stands at the earliest deadline there was: of calls that are answered in time, which is
// nearly all, none moves it.
void Requests::arm(MonoTime deadline) {
  if (deadline_.active() && deadline_.due() <= deadline) return;
  deadline_.start(deadline - loop_.now());
}

}  // namespace nb::agent
