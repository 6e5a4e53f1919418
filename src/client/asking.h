// How a function of Client waits, and makes one call: the templates that client_calls.cc and
// client_sessions.cc share.
#pragma once

#include <poll.h>

#include <algorithm>

#include "client/client.h"
#include "client/now.h"

namespace nb::client {

inline int64_t deadline_in(uint32_t timeout_ms) {
  return now_ns() + int64_t{timeout_ms} * 1000000;
}

// Repeats turn() until `done` returns something other than NB_KEPT, or the time is over. The caller
// has the role.
template <class Done>
int Client::run(int64_t deadline_ns, Done&& done) {
  // It wakes up at least so often, since another thread may have kept a message.
  constexpr int64_t kPollMs = 200;
  for (;;) {
    turn();
    const int result = done();
    if (result != NB_KEPT) return result;
    const int64_t left = ms_until(deadline_ns);
    if (left == 0) return NB_ERR_TIMEOUT;
    int64_t wait = std::min(left, kPollMs);
    pollfd entry{};
    {
      const Lock lock(*this);
      entry.fd = link_.up() ? link_.fd() : -1;
      entry.events = static_cast<short>(outgoing_.can_send() ? POLLIN | POLLOUT : POLLIN);
      if (!link_.up()) wait = std::min(wait, ms_until(link_.due_ns()));
    }
    ::poll(&entry, 1, static_cast<int>(wait));
  }
}

template <class Write>
int Client::ask(Write&& write, const Pending& wanted, int64_t deadline_ns, bool again, Fate& fate) {
  bool asked = false;
  bool away = true;
  uint64_t connection = 0;
  int outcome = run(deadline_ns, [&]() -> int {
    if (pending_.answered) return pending_.outcome;
    const Lock lock(*this);
    if (asked) {
      if (link_.up() && connection == connection_) return NB_KEPT;
      if (was_told(connection)) return NB_ERR_REMOTE;
      if (!again || outgoing_.call_is_out()) return NB_ERR_AWAY;
      asked = false;
    }
    away = !link_.up();
    if (away) return NB_KEPT;
    const int64_t id = next_id_;
    const int put = outgoing_.put_call([&](LineWriter& out) {
      write(out);
      out.raw(",\"id\":");
      out.integer(id);
      out.raw("}\n");
    });
    if (put == NB_ERR_FULL) return NB_KEPT;  // as while the limit is not known yet
    if (put == NB_ERR_TOO_LARGE) trouble_ = Trouble::too_large;
    if (put != NB_OK) return put;
    pending_ = wanted;
    pending_.id = id;
    ++next_id_;
    asked = true;
    connection = connection_;
    send();
    return NB_KEPT;
  });
  fate = pending_.answered ? Fate::answered : Fate::unsent;
  pending_ = {};
  const Lock lock(*this);
  if (outcome == NB_ERR_TIMEOUT && away && !asked && fate != Fate::answered) {
    outcome = connection_ != 0 && was_told(connection_) ? NB_ERR_REMOTE : NB_ERR_AWAY;
  }
  outgoing_.drop_call();
  if (fate == Fate::unsent && asked && outgoing_.call_is_out()) fate = Fate::unknown;
  return outcome;
}

}  // namespace nb::client
