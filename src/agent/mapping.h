// Mapping: turns the one Config into the options of each room. The rooms do not know the
// configuration, and the configuration does not know the rooms.
#pragma once

#include <string>
#include <vector>

#include "base/log.h"
#include "config/config.h"
#include "config/load.h"
#include "ipc/rpc_server.h"
#include "outbox/event_log.h"
#include "redis/link.h"

namespace nb::agent {

redis::LinkOptions link_options(const config::Config& config);
outbox::EventLogLimits event_limits(const config::Config& config);
outbox::SlotLimits slot_limits(const config::Config& config);
// `environment`: where the service manager names the socket that it has made. If the socket's group
// does not exist, a warning is logged, and the socket gets the agent's own group. If none of the
// allowed users or groups exists, a warning is logged, and no user may connect.
ipc::ServerOptions server_options(
    const config::Config& config,
    const std::vector<std::pair<std::string, std::string>>& environment, const Log& log);

// Warns of files with the password of Redis that the group of the socket may read: with the
// password each client of the socket could do in Redis what the agent may do.
void warn_about_secrets(const config::Config& config,
                        const std::vector<config::GroupReadable>& files, const Log& log);

}  // namespace nb::agent
