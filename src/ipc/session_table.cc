#include "ipc/session_table.h"

#include <algorithm>
#include <utility>

namespace nb::ipc {

SessionTable::SessionTable(uv::Loop& loop, Delegate<void(Session&)> on_overdue)
    : loop_(loop),
      on_overdue_(on_overdue),
      timer_(loop, Delegate<void()>::to<&SessionTable::on_time>(this)) {}

Session* SessionTable::find(ClientId client) const {
  // Mostly the one that was asked for last: lines come many at a time.
  if (last_found_ >= sessions_.size() || sessions_[last_found_]->id() != client) {
    const auto at = std::lower_bound(
        sessions_.begin(), sessions_.end(), client,
        [](const std::unique_ptr<Session>& session, ClientId id) { return session->id() < id; });
    if (at == sessions_.end() || (*at)->id() != client) return nullptr;
    last_found_ = static_cast<size_t>(at - sessions_.begin());
  }
  Session* session = sessions_[last_found_].get();
  return session->is_live() ? session : nullptr;
}

size_t SessionTable::live() const {
  size_t count = 0;
  for (const auto& session : sessions_) count += session->is_live();
  return count;
}

size_t SessionTable::unsent() const {
  size_t bytes = 0;
  for (const auto& session : sessions_) bytes += session->unsent();
  return bytes;
}

std::unique_ptr<Session> SessionTable::take_ended() {
  for (auto at = sessions_.begin(); at != sessions_.end(); ++at) {
    if ((*at)->is_live()) continue;
    std::unique_ptr<Session> session = std::move(*at);
    sessions_.erase(at);
    return session;
  }
  return nullptr;
}

SessionTable::Sessions SessionTable::take_all() {
  timer_.stop();
  deadlines_ = 0;
  return std::exchange(sessions_, {});
}

void SessionTable::set_deadline(Session& session, Duration after) {
  clear_deadline(session);
  session.deadline = loop_.now() + after;
  ++deadlines_;
  if (!timer_.active() || timer_.due() > *session.deadline) timer_.start(after);
}

void SessionTable::clear_deadline(Session& session) {
  if (!session.deadline) return;
  session.deadline.reset();
  if (--deadlines_ == 0) timer_.stop();
}

void SessionTable::on_time() {
  const MonoTime now = loop_.now();
  for (size_t i = 0; i < sessions_.size(); ++i) {
    Session& session = *sessions_[i];
    if (!session.deadline || *session.deadline > now) continue;
    clear_deadline(session);
    on_overdue_(session);
  }
  std::optional<MonoTime> next;
  for (const auto& session : sessions_) {
    if (session->deadline && (!next || *session->deadline < *next)) next = session->deadline;
  }
  if (next) timer_.start(*next - now);
}

}  // namespace nb::ipc
