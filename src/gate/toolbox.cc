#include "gate/toolbox.h"

#include <algorithm>
#include <utility>

#include "gate/outcome.h"

namespace nb::gate {
namespace {

constexpr char kInstructions[] =
    "nodebeat watches the computers (nodes) of a robot cell, which share their state through one "
    "Redis. Begin with "
    "system_status; doctor says what is wrong and what to do. recent_events tells what has "
    "happened, "
    "subscribe_events waits for what comes. Ages (age_ms) say how old something is: do not act on "
    "old state. ";
constexpr char kReadOnly[] =
    "This server only looks. To let it write, a person starts it with --allow-writes and --socket "
    "/run/nodebeat/agent.sock.";
constexpr char kWrites[] =
    "This server may write where the agent's socket gives the right: tell a person what you are "
    "going to change.";

}  // namespace

Toolbox::Toolbox(uv::Loop& loop, Agent& agent, bool allow_writes, std::string version)
    : context_{loop, agent, allow_writes},
      version_(std::move(version)),
      instructions_(std::string(kInstructions) + (allow_writes ? kWrites : kReadOnly)) {
  for (const auto& table :
       {look_tools(), state_tools(), session_tools(), event_tools(), send_tools()}) {
    for (const ToolEntry& entry : table) entries_.push_back(&entry);
  }
}

mcp::ServerInfo Toolbox::info() const {
  return {"nodebeat-gate", "nodebeat", version_, instructions_};
}

bool Toolbox::offers(const ToolEntry& entry) const {
  if (entry.tool.reads_only) return true;
  return context_.allow_writes && context_.agent.hello().rights.has(entry.right);
}

std::vector<const mcp::Tool*> Toolbox::tools() const {
  std::vector<const mcp::Tool*> out;
  for (const ToolEntry* entry : entries_) {
    if (offers(*entry)) out.push_back(&entry->tool);
  }
  return out;
}

mcp::WorkPtr Toolbox::call(const mcp::Tool& tool, mcp::Given arguments, mcp::Reply reply) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const ToolEntry* entry) { return &entry->tool == &tool; });
  return (*found)->begin(context_, arguments, reply);
}

}  // namespace nb::gate
