// The rules of doctor: they make findings of observations. Pure: no rule asks anything itself.
#pragma once

#include <string>
#include <vector>

#include "ctl/json.h"
#include "ctl/socket_look.h"
#include "redis_admin/server_facts.h"
#include "terminal/findings.h"

namespace nb::ctl {

using namespace terminal;

// The outcome of `nodebeatd --check-config`, with the rights of the calling user.
struct ConfigCheck {
  bool found = false;    // there is a nodebeatd that can check
  bool readable = true;  // this user may read the file
  int exit = 0;          // -1: nodebeatd did not end by itself
  std::string file;      // empty: the defaults hold
  std::string user;      // the calling user
  std::vector<std::string> lines;
};

Findings config_findings(const ConfigCheck& check);
// From agent.config: as the agent sees them.
Findings config_findings(Json config);
Findings socket_findings(const SocketLook& look);

// From agent.stats.
Findings link_findings(Json stats);
Findings watch_findings(Json stats);
// `now`: microseconds since 1970.
Findings outbox_findings(Json stats, int64_t now);
Findings probe_findings(Json stats);
Findings client_findings(Json stats);

// The server's facts in redis.inspect.
redis_admin::ServerFacts facts_of(Json inspect);

// `stats` has the agent's own observations. `stored` is this node's health as Redis has it, read
// once or more often: the other agent may beat too rarely for `stats`.
Findings name_findings(Json stats, const std::vector<Json>& stored);

}  // namespace nb::ctl
