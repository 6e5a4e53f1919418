#include "cell/ended_sessions.h"

#include <algorithm>
#include <utility>

namespace nb::cell {

void EndedSessions::add(std::string session, uint64_t user, uint64_t bytes, MonoTime gone_at) {
  Session ended;
  ended.name = std::move(session);
  ended.user = user;
  ended.bytes = std::max(bytes, kLeastBytes);
  ended.gone_at = gone_at;
  sessions_.push_back(std::move(ended));
}

uint64_t EndedSessions::bytes_of(uint64_t user) const {
  uint64_t bytes = 0;
  for (const Session& session : sessions_) {
    if (session.user == user) bytes += session.bytes;
  }
  return bytes;
}

std::optional<std::string> EndedSessions::take_excess(uint64_t limit, MonoTime now) {
  std::erase_if(sessions_, [&](const Session& session) { return session.gone_at <= now; });
  uint64_t all = 0;
  for (const Session& session : sessions_) all += session.bytes;
  if (all <= limit) return std::nullopt;
  const Session* oldest = nullptr;
  uint64_t most = 0;
  for (const Session& session : sessions_) {
    if (oldest != nullptr && session.user == oldest->user) continue;
    if (const uint64_t bytes = bytes_of(session.user); bytes > most) {
      most = bytes;
      oldest = &session;
    }
  }
  std::string name = oldest->name;
  sessions_.erase(sessions_.begin() + (oldest - sessions_.data()));
  return name;
}

}  // namespace nb::cell
