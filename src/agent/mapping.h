// Mapping: from the one Config to what each room wants to be told. The rooms do not know the
// configuration, and it does not know them.
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
// `environment`: where the service manager says which socket it has made. A group that does not
// exist is a warning: the socket is then the agent's own group's. A user or group to be let in that
// does not exist is one too, and lets nobody in.
ipc::ServerOptions server_options(
    const config::Config& config,
    const std::vector<std::pair<std::string, std::string>>& environment, const Log& log);

// Warns of files with the password of Redis that the group of the socket may read: with it each
// client of the socket could do in Redis what the agent may do.
void warn_about_secrets(const config::Config& config,
                        const std::vector<config::GroupReadable>& files, const Log& log);

}  // namespace nb::agent
