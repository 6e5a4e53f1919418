#include "ctl/fleet.h"

#include <algorithm>
#include <utility>

#include "ctl/health_details.h"
#include "terminal/local_time.h"
#include "terminal/text.h"

namespace nb::ctl {
namespace {

using State = FleetNode::State;

// The agent's verdict about the node. An agent of an earlier version sends the health only.
void read_standing(Json standing, FleetNode& node) {
  const std::string_view text = standing["state"].text();
  node.since = standing["since"].timestamp_us();
  if (text.empty()) {
    node.state = node.up ? State::up : node.last_seen ? State::down : State::not_seen;
  } else {
    node.state = text == "up"        ? State::up
                 : text == "suspect" ? State::suspect
                 : text == "down"    ? State::down
                                     : State::unknown;
    node.reason = printable(standing["cause"].text());
    node.up = node.state == State::up || node.state == State::suspect;
  }
  if (node.state == State::down && !node.since) node.since = node.last_seen;
  if (node.state == State::unknown && !node.since && !node.last_seen) node.state = State::not_seen;
}

FleetNode read_node(std::string_view name, Json health, std::optional<int64_t> last_seen,
                    Json standing, int64_t now) {
  FleetNode node;
  node.name = printable(name);
  node.last_seen = last_seen;
  if (health.is_object()) {
    node.up = health["is_reachable"].boolean().value_or(true);
    node.reason = printable(health["reason"].text());
    if (const auto beat = health["last_heartbeat"].timestamp_us()) node.last_seen = beat;
    node.cpu = health["cpu_percent"].number();
    node.memory = health["memory_percent"].number();
    node.disk = health["disk_percent"].number();
    node.temperature = health["temperature_c"].number();
    node.mcp_running = health["mcp_server_running"].boolean().value_or(false);
    if (const auto port = health["mcp_port"].number()) node.mcp_port = static_cast<int64_t>(*port);
    node.mcp_known = node.mcp_running || node.mcp_port;
    node.rival = printable(health["name_conflict"].text());
    node.details = health_details(health);
    for (const Json probe : health["probes"]) {
      ++node.probes;
      const auto up = probe["up"].boolean();
      if (up == true) continue;
      (up ? node.probes_down : node.probes_unknown).push_back(printable(probe["name"].text()));
    }
  }
  read_standing(standing, node);
  if (node.last_seen) node.age_ms = (now - *node.last_seen) / 1000;
  return node;
}

Cell level(const std::optional<double>& value, bool up, const Style& style, size_t cells) {
  if (!value || !up) return {"-", Colour::dim};
  std::string text = percent(*value);
  if (cells > 0) text = bar(*value / 100, cells, style.utf8) + ' ' + text;
  return {std::move(text), level_colour(*value)};
}

Cell mcp(const FleetNode& node) {
  if (!node.up || !node.mcp_known) return {"-", Colour::dim};
  if (!node.mcp_running) return {"down", Colour::red};
  return {node.mcp_port ? format("up :%lld", static_cast<long long>(*node.mcp_port)) : "up",
          Colour::green};
}

Cell probes(const FleetNode& node) {
  if (!node.up || node.probes == 0) return {"-", Colour::dim};
  const auto named = [](const std::vector<std::string>& names, const char* how) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
    return text.empty() ? text : text + how;
  };
  const std::string down = named(node.probes_down, " down");
  const std::string unknown = named(node.probes_unknown, " unknown");
  if (down.empty() && unknown.empty()) return {format("%u up", node.probes), Colour::green};
  return {down + (down.empty() || unknown.empty() ? "" : "; ") + unknown,
          down.empty() ? Colour::yellow : Colour::red};
}

Cell temperature(const FleetNode& node, const Style& style) {
  if (!node.temperature || !node.up) return {"-", Colour::dim};
  return {format(style.utf8 ? "%.0f °C" : "%.0f C", *node.temperature),
          *node.temperature >= 85 ? Colour::red : Colour::none};
}

}  // namespace

int rank(const FleetNode& node) {
  switch (node.state) {
    case State::down:
      return 0;
    case State::suspect:
      return 1;
    case State::unknown:
      return 2;
    case State::not_seen:
      return 3;
    case State::up:
      break;
  }
  return node.rival.empty() ? 5 : 4;
}

Cell state_cell(const FleetNode& node, int64_t now) {
  if (node.state == State::up && !node.rival.empty()) {
    return {"up, but two agents have this name", Colour::red};
  }
  if (node.state == State::up) return {"up", Colour::green};
  if (node.state == State::not_seen) return {"not seen yet", Colour::dim};
  std::string text = node.state == State::suspect ? "suspect"
                     : node.state == State::down  ? "down"
                                                  : "unknown";
  if (node.since) text += " since " + local_time(*node.since, now);
  if (!node.reason.empty()) text += " (" + node.reason + ")";
  return {std::move(text), node.state == State::down ? Colour::red : Colour::yellow};
}

size_t Fleet::up() const {
  return static_cast<size_t>(
      std::count_if(nodes.begin(), nodes.end(), [](const FleetNode& n) { return n.up; }));
}

Fleet read_fleet(Json status, int64_t now) {
  Fleet fleet;
  fleet.redis_connected = status["redis_connected"].boolean().value_or(false);
  fleet.now = status["timestamp"].timestamp_us().value_or(now);
  fleet.left_out = status["nodes_left_out"].integer_or(0);
  fleet.active_strokes = status["active_stroke_sessions"].integer_or(0);
  for (const Json health : status["nodes_health"]) {
    const std::string name(health.name());
    const auto seen = status["nodes_last_seen"][name.c_str()].timestamp_us();
    fleet.nodes.push_back(read_node(name, health, seen, status["nodes"][name.c_str()], fleet.now));
  }
  std::sort(fleet.nodes.begin(), fleet.nodes.end(), [](const FleetNode& a, const FleetNode& b) {
    return std::pair(rank(a), std::string_view(a.name)) <
           std::pair(rank(b), std::string_view(b.name));
  });
  return fleet;
}

namespace {

// The columns of a table besides name, state and last beat.
struct Columns {
  size_t cells = 0;  // of the bars; 0: figures only
  bool temperature = true, disk = true, mcp = true, beat = true, load = true, programs = true;
};
// From wide terminals to narrow ones.
constexpr Columns kColumns[] = {
    {10},
    {5},
    {0},
    {0, false},
    {0, false, false},
    {0, false, false, false},
    {0, false, false, false, false},
    {0, false, false, false, false, false},
    {0, false, false, false, false, false, false},
};
constexpr size_t kLeastState = 20;  // "down since 14:03:07" in one line

template <class Has>
bool any_has(const Fleet& fleet, Has has) {
  return std::any_of(fleet.nodes.begin(), fleet.nodes.end(), has);
}

Table fleet_table(const Fleet& fleet, std::string_view self, const Style& style,
                  const Columns& columns) {
  const bool any_temperature = columns.temperature && any_has(fleet, [](const FleetNode& n) {
                                 return n.temperature.has_value();
                               });
  const bool any_pose =
      columns.programs && any_has(fleet, [](const FleetNode& n) { return !n.pose.empty(); });
  const bool any_probe =
      columns.programs && any_has(fleet, [](const FleetNode& n) { return n.probes > 0; });
  Table table;
  table.column("NODE");
  table.column("STATE", Align::left, kLeastState);
  if (columns.beat) table.column("LAST BEAT", Align::right, Table::kWraps);
  if (columns.load) table.column("CPU", Align::right);
  if (columns.load) table.column("MEMORY", Align::right);
  if (columns.disk) table.column("DISK", Align::right);
  if (any_temperature) table.column("TEMP", Align::right);
  if (columns.mcp) table.column("MCP");
  if (any_pose) table.column("ROBOT", Align::left, Table::kWraps);
  if (any_probe) table.column("PROBES", Align::left, Table::kWraps);
  for (const FleetNode& node : fleet.nodes) {
    std::vector<Cell> row = {{node.name == self ? node.name + '*' : node.name, Colour::bold},
                             state_cell(node, fleet.now)};
    if (columns.beat) {
      row.push_back({node.age_ms ? ago(std::max<int64_t>(*node.age_ms, 0)) : "never",
                     node.up ? Colour::none : Colour::dim});
    }
    if (columns.load) row.push_back(level(node.cpu, node.up, style, columns.cells));
    if (columns.load) row.push_back(level(node.memory, node.up, style, columns.cells));
    if (columns.disk) row.push_back(level(node.disk, node.up, style, 0));
    if (any_temperature) row.push_back(temperature(node, style));
    if (columns.mcp) row.push_back(mcp(node));
    if (any_pose) row.push_back(node.pose.empty() ? Cell{"-", Colour::dim} : Cell{node.pose});
    if (any_probe) row.push_back(probes(node));
    table.row(std::move(row));
  }
  return table;
}

}  // namespace

Table fleet_table(const Fleet& fleet, std::string_view self, const Style& style) {
  Table table;
  for (const Columns& columns : kColumns) {
    table = fleet_table(fleet, self, style, columns);
    // Bars are for terminals on which nothing else has to be wrapped for them.
    const size_t wants = columns.cells > 0 ? table.natural_width() : table.least_width();
    if (!style.terminal || wants <= style.columns) break;
  }
  return table;
}

std::string fleet_summary(const Fleet& fleet) {
  std::string text = format("%zu of %zu node%s up", fleet.up(), fleet.nodes.size(),
                            fleet.nodes.size() == 1 ? " is" : "s are");
  if (fleet.left_out > 0) {
    text += format(", and %lld more were not looked at", static_cast<long long>(fleet.left_out));
  }
  return text;
}

}  // namespace nb::ctl
