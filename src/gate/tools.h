// The tools that nodebeat-gate offers to models: one table a file, each entry with the right of the
// agent's socket that it needs.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "gate/agent.h"
#include "mcp/toolbox.h"
#include "rpc/rights.h"
#include "uv/loop.h"

namespace nb::gate {

// The common data of the tools of one front end.
struct ToolContext {
  uv::Loop& loop;
  Agent& agent;
  bool allow_writes = false;
  size_t readings = 0;  // of events, under way: each has a connection of its own
};

inline constexpr size_t kMaxReadings = 8;

struct ToolEntry {
  mcp::Tool tool;
  rpc::Right right = rpc::Right::read;
  mcp::WorkPtr (*begin)(ToolContext&, mcp::Given, mcp::Reply) = nullptr;
};

std::span<const ToolEntry> look_tools();     // tools_look.cc
std::span<const ToolEntry> state_tools();    // tools_state.cc
std::span<const ToolEntry> session_tools();  // tools_sessions.cc
std::span<const ToolEntry> event_tools();    // tools_events.cc
std::span<const ToolEntry> send_tools();     // tools_send.cc

// An output schema: the members of every tool's answer, and these.
#define NB_OUTPUT(members)                                           \
  R"({"type":"object","properties":{"success":{"type":"boolean"},)"  \
  R"("message":{"type":"string"},"error":{"type":"string"})" members \
  R"(},"required":["success","message"]})"

// Arguments that several tools have.
inline constexpr mcp::Argument kLimitArgument{
    .name = "limit",
    .type = mcp::Type::integer,
    .words =
        "How many are wanted at most. An answer may have fewer; then `next_cursor` tells that "
        "there are more.",
    .least = 1,
    .most = 40,
    .fallback = "20"};
inline constexpr mcp::Argument kCursorArgument{
    .name = "cursor",
    .words = "`next_cursor` of the answer before, to get what comes next. Leave it out to begin.",
    .least = 1,
    .most = 300};  // it may have a session's id

inline constexpr mcp::Argument node_argument(std::string_view words) {
  return {.name = "node_id", .type = mcp::Type::name, .words = words};
}

}  // namespace nb::gate
