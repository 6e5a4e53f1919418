// What a reload changes, and how much of it a running agent can apply.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace nb::config {

// "heartbeat.interval", "socket" for a further socket, and "probe.NAME" for a probe that was added,
// removed or altered. A new password shows as "redis.password", wherever it came from.
std::vector<std::string> changed_keys(const Config& before, const Config& after);

// True for a key, as changed_keys() names it, that takes effect only at the next start: the node's
// name, the socket, the databases, the permission to watch.
bool needs_restart(std::string_view key);

// Moves the values that need a restart from `running`, which is over, into `next`, so that `next`
// can replace it.
void keep_until_restart(Config& running, Config& next);

}  // namespace nb::config
