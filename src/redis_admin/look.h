// The questions of redis check to a server about itself and about the rights of its users. The
// rules (redis_admin/rules.h) make findings of the answers.
#pragma once

#include <string>
#include <vector>

#include "redis_admin/rules.h"
#include "redis_admin/server.h"

namespace nb::redis_admin {

// `server` is open, at that address. `nodes` are the nodes whose users are checked; empty: the
// users of all nodes, or the own one. `prefix` is that of these nodes' cell, and of the streams
// that are checked. Every question is asked before the deadline.
ServerLook look_at_server(Server& server, const RedisAddress& address, Deadline deadline,
                          const std::vector<std::string>& nodes, const std::string& prefix);

}  // namespace nb::redis_admin
