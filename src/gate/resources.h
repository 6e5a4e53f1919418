// The resources state://…: their contents, the completion of their names, and the events that
// report their changes.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "gate/tools.h"
#include "mcp/toolbox.h"

namespace nb::gate {

std::span<const mcp::Resource> resources();
std::span<const mcp::Resource> resource_templates();

// The target of a URI.
struct ResourceName {
  enum class Kind : uint8_t { none, status, progress, health, robot, session, events };
  Kind kind = Kind::none;
  std::string name;  // of the node, or of the session
};
ResourceName parse_resource(std::string_view uri);

mcp::WorkPtr read_resource(ToolContext& context, std::string_view uri, mcp::Reply reply);
mcp::WorkPtr complete_name(ToolContext& context, std::string_view variable, std::string_view begin,
                           mcp::Reply reply);
mcp::WorkPtr watch_resource(ToolContext& context, std::string_view uri, Delegate<void()> on_change);

}  // namespace nb::gate
