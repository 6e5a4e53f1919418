// What system.status of the agent says, in the form that tools and resources tell it. Pure.
#pragma once

#include <string>

#include "gate/agent.h"
#include "json/view.h"

namespace nb::gate {

// The object `status`. `detailed` adds the health of each node, as far as there is room.
std::string status_json(const AgentHello& agent, json::View system_status, bool detailed);
// The same while there is no agent: nothing is known, and why.
std::string status_without_agent(const CallFailure& failure, std::string_view timestamp);

// The members `nodes` and `next_cursor` of list_nodes: an entry a node, the figures that are looked
// at first.
std::string node_list_members(json::View system_status);

}  // namespace nb::gate
