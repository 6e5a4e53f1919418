// The fleet, as system.status reports it: one row for each node, and the table that people see.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ctl/json.h"
#include "terminal/table.h"

namespace nb::ctl {

using namespace terminal;

struct FleetNode {
  std::string name;
  enum class State : uint8_t { not_seen, up, suspect, down, unknown };
  State state = State::not_seen;
  bool up = false;                   // or suspect
  std::optional<int64_t> since;      // microseconds since 1970: when that state began
  std::string reason;                // why the node is not up
  std::optional<int64_t> age_ms;     // the age of the last beat
  std::optional<int64_t> last_seen;  // microseconds since 1970
  std::optional<double> cpu, memory, disk, temperature;
  bool mcp_known = false;
  bool mcp_running = false;
  std::optional<int64_t> mcp_port;
  std::string pose;  // the robot's, if it is known
  unsigned probes = 0;
  std::vector<std::string> probes_down, probes_unknown;
  std::string rival;  // the instance of another agent with this node's name
  // The whole health: a label and words, for the node's own page.
  std::vector<std::pair<std::string, std::string>> details;
};

// Nodes with problems come first: down, suspect, unknown, not seen yet, up.
int rank(const FleetNode& node);
// "up", "down since 14:03:07 (lease not renewed)"
Cell state_cell(const FleetNode& node, int64_t now);

struct Fleet {
  std::vector<FleetNode> nodes;  // by rank, then by name
  bool redis_connected = false;
  int64_t now = 0;  // the time of this status, by the agent's clock
  int64_t active_strokes = 0;
  int64_t left_out = 0;  // the number of nodes that the agent had no time for

  size_t up() const;
};

Fleet read_fleet(Json system_status, int64_t now);

// The node `self` is marked. Where there is room, bars are drawn; where there is none, columns are
// left out, the least telling first. Names and causes are never cut.
Table fleet_table(const Fleet& fleet, std::string_view self, const Style& style);

// "2 of 3 nodes are up"
std::string fleet_summary(const Fleet& fleet);

}  // namespace nb::ctl
