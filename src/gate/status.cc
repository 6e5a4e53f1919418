#include "gate/status.h"

#include "base/name.h"
#include "gate/outcome.h"
#include "terminal/text.h"

namespace nb::gate {
namespace {

// Each of the two maps of a status may take so much.
constexpr size_t kRoomOfMap = kRoom / 2;

constexpr std::string_view kAfter = "after:";
constexpr const char* kFigures[] = {"cpu_percent",   "memory_percent", "disk_percent",
                                    "gpu_percent",   "temperature_c",  "mcp_server_running",
                                    "agent_version", "uptime_s"};

// The members of a map that fit, under `name`. Says how many were left out.
size_t add_map(std::string& members, std::string_view name, json::View map, size_t room) {
  std::string all;
  size_t left_out = 0;
  for (const json::Member& member : map.members()) {
    std::string one;
    add_raw(one, member.raw_name, member.value.raw());
    one = terminal::json_printable(one);
    if (all.size() + one.size() + 1 > room) {
      ++left_out;
    } else {
      all += (all.empty() ? "" : ",") + one;
    }
  }
  add_raw(members, name, '{' + all + '}');
  return left_out;
}

// Other programs may have written it: a longer text is in the node's health.
void add_short(std::string& members, std::string_view name, json::View value) {
  constexpr size_t kMost = 256;
  if (value.exists() && value.raw().size() <= kMost) add_raw(members, name, value.raw());
}

}  // namespace

std::string status_json(const AgentHello& agent, json::View system_status, bool detailed) {
  std::string out;
  add_boolean(out, "agent_connected", true);
  add_text(out, "node_id", agent.node_id);
  add_text(out, "agent_version", agent.agent_version);
  for (const char* name :
       {"redis_connected", "active_stroke_sessions", "nodes_online", "total_nodes"}) {
    add_raw(out, name, system_status[name].raw());
  }
  size_t left_out = add_map(out, "nodes", system_status["nodes"], kRoomOfMap);
  if (detailed) {
    left_out =
        std::max(left_out, add_map(out, "nodes_health", system_status["nodes_health"], kRoomOfMap));
  }
  const bool more = !system_status["cursor"].is(json::View::Type::null);
  if (left_out > 0 || more) {
    add_boolean(out, "truncated", true);
    add_integer(out, "nodes_left_out_here", static_cast<int64_t>(left_out));
  }
  add_raw(out, "timestamp", system_status["timestamp"].raw());
  return '{' + out + '}';
}

std::string status_without_agent(const CallFailure& failure, std::string_view timestamp) {
  std::string out;
  add_boolean(out, "agent_connected", false);
  add_text(out, "agent_trouble", failure.words);
  add_boolean(out, "redis_connected", false);
  for (const char* name : {"active_stroke_sessions", "nodes_online", "total_nodes"}) {
    add_raw(out, name, "null");
  }
  add_raw(out, "nodes", "{}");
  add_text(out, "timestamp", timestamp);
  return '{' + out + '}';
}

std::string node_list_members(json::View system_status) {
  const json::View healths = system_status["nodes_health"];
  const json::View seen = system_status["nodes_last_seen"];
  std::string list;
  std::string scratch;
  for (const json::Member& member : system_status["nodes"].members()) {
    const std::string name(member.name(scratch));
    std::string node;
    add_text(node, "node_id", name);
    for (const char* what : {"state", "since", "age_ms", "source", "cause"}) {
      add_short(node, what, member.value[what]);
    }
    add_raw(node, "last_seen", seen[name].raw());
    const json::View health = healths[name];
    for (const char* what : kFigures) {
      add_short(node, what, health[what]);
    }
    list += (list.empty() ? "{" : ",{") + node + '}';
  }
  std::string out;
  add_raw(out, "nodes", '[' + list + ']');
  add_raw(out, "total_nodes", system_status["total_nodes"].raw());
  const auto cursor = system_status["cursor"].string(scratch);
  add_raw(out, "next_cursor",
          cursor ? json_text(std::string(kAfter) + std::string(*cursor)) : "null");
  return out;
}

std::optional<std::string> node_of_cursor(std::string_view cursor) {
  if (!cursor.starts_with(kAfter) || !is_name(cursor.substr(kAfter.size()))) return std::nullopt;
  return std::string(cursor.substr(kAfter.size()));
}

}  // namespace nb::gate
