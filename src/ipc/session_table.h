// SessionTable: the sessions of a server, by the number of their client, and the deadlines that
// some of them have.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/delegate.h"
#include "ipc/session.h"
#include "uv/timer.h"

namespace nb::ipc {

class SessionTable {
 public:
  using Sessions = std::vector<std::unique_ptr<Session>>;

  // `on_overdue` comes for each session whose deadline has passed; then it has no deadline any
  // more.
  SessionTable(uv::Loop& loop, Delegate<void(Session&)> on_overdue);

  // The client's number is larger than that of those before it.
  void add(std::unique_ptr<Session> session) { sessions_.push_back(std::move(session)); }
  // Null if the client's session is not live.
  Session* find(ClientId client) const;
  const Sessions& all() const { return sessions_; }
  size_t live() const;
  size_t unsent() const;  // bytes that wait for all of them
  // A session that is no longer live, taken out of the table; null: there is none.
  std::unique_ptr<Session> take_ended();
  // All of them, without their deadlines.
  Sessions take_all();

  // A session has one deadline at most.
  void set_deadline(Session& session, Duration after);
  void clear_deadline(Session& session);

 private:
  void on_time();

  uv::Loop& loop_;
  Delegate<void(Session&)> on_overdue_;
  Sessions sessions_;  // by id, ascending
  mutable size_t last_found_ = 0;
  size_t deadlines_ = 0;  // sessions that have one; the timer runs only for them
  uv::Timer timer_;
};

}  // namespace nb::ipc
