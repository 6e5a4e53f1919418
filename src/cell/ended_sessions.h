// EndedSessions: the size of ended stroke sessions in Redis, until their time to live is over. All
// together have a limit, so that a day of short or long sessions cannot fill the server. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace nb::cell {

class EndedSessions {
 public:
  // A session counts at least that much, so the list of them is bounded, too.
  static constexpr uint64_t kLeastBytes = 64 * 1024;

  void add(std::string session, uint64_t user, uint64_t bytes, MonoTime gone_at);
  // While all together hold more than `limit`: a session that is to leave Redis early. It is the
  // oldest one of the user whose programs hold most, so that a flood displaces its own sessions.
  std::optional<std::string> take_excess(uint64_t limit, MonoTime now);

 private:
  struct Session {
    std::string name;
    uint64_t user = 0;
    uint64_t bytes = 0;
    MonoTime gone_at{};  // by itself
  };

  uint64_t bytes_of(uint64_t user) const;

  std::vector<Session> sessions_;  // oldest first
};

}  // namespace nb::cell
