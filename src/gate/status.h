// The content of the agent's system.status, in the form of tools and resources. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "gate/agent.h"
#include "json/view.h"

namespace nb::gate {

// The object `status`. `detailed` adds the health of each node, as far as there is room.
std::string status_json(const AgentHello& agent, json::View system_status, bool detailed);
// The same while there is no agent: nothing is known, and why.
std::string status_without_agent(const CallFailure& failure, std::string_view timestamp);

// The members `nodes` and `next_cursor` of list_nodes: an entry for each node, with the most
// important figures. `next_cursor` is a name in a form of its own, so that an invented word does
// not look like the end of the list.
std::string node_list_members(json::View system_status);
// The name in such a cursor.
std::optional<std::string> node_of_cursor(std::string_view cursor);

}  // namespace nb::gate
