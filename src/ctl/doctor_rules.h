// doctor's rules: from what was seen to findings. Pure: no rule asks anything itself.
#pragma once

#include <string>
#include <vector>

#include "ctl/json.h"
#include "ctl/socket_look.h"
#include "redis_admin/server_facts.h"
#include "terminal/findings.h"

namespace nb::ctl {

using namespace terminal;

// What `nodebeatd --check-config` said.
struct ConfigCheck {
  bool found = false;    // there is a nodebeatd to ask
  bool readable = true;  // by this user
  int exit = 0;          // -1: it did not end by itself
  std::string file;      // empty: defaults
  std::vector<std::string> lines;
};

Findings config_findings(const ConfigCheck& check);
Findings socket_findings(const SocketLook& look);

// From agent.stats.
Findings link_findings(Json stats);
Findings outbox_findings(Json stats);
Findings probe_findings(Json stats);
Findings client_findings(Json stats);

// What redis.inspect tells of the server.
redis_admin::ServerFacts facts_of(Json inspect);

// `stats` tell what the agent has seen itself; `stored`: this node's health as it lies in Redis,
// looked at once or more often, should the other's beats be too rare for it.
Findings name_findings(Json stats, const std::vector<Json>& stored);

}  // namespace nb::ctl
