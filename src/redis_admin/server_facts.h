// A server's report about itself, and the findings that follow. doctor gets these facts from the
// agent, redis check gets them from the server, and the same rules hold for both. Pure.
#pragma once

#include <optional>
#include <string>

#include "terminal/findings.h"

namespace nb::redis_admin {

struct ServerFacts {
  // Empty if the server does not report it.
  std::string version, role, user, maxmemory_policy;
  double maxmemory_bytes = 0;  // 0: no limit, or not reported
  std::optional<double> used_memory_bytes;
  std::optional<double> clock_offset_ms;  // by which its clock is ahead of this computer's
  std::optional<bool> loading, aof_enabled, rdb_last_save_ok, protected_mode, has_password;
};

terminal::Findings server_findings(const ServerFacts& facts);
terminal::Findings clock_findings(const ServerFacts& facts);

}  // namespace nb::redis_admin
