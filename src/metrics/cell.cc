// The cell: every node that system.status names, in any state.
#include <map>
#include <string>
#include <utility>

#include "metrics/answers.h"
#include "metrics/figure.h"

namespace nb::metrics {
namespace {

constexpr Kind kGauge = Kind::gauge;
constexpr std::string_view kStates[] = {"up", "suspect", "down", "unknown"};

struct Node {
  std::string state;
  std::optional<double> last_seen;
  std::optional<double> since;
};

// By name: two pages may have the same node.
using Nodes = std::map<std::string, Node>;

void read_page(json::View page, Nodes& nodes) {
  const auto now = timestamp(page["timestamp"]);
  std::string scratch;
  std::string state;
  for (const json::Member& member : page["nodes"].members()) {
    Node& node = nodes[std::string(member.name(scratch))];
    node.state = member.value["state"].string(state).value_or("");
    node.since = timestamp(member.value["since"]);
    // By the agent's own clock, where it has seen the node twice.
    const auto age = number(member.value["age_ms"], kMilliseconds);
    if (now && age) node.last_seen = *now - *age;
  }
  for (const json::Member& member : page["nodes_last_seen"].members()) {
    Node& node = nodes[std::string(member.name(scratch))];
    if (!node.last_seen) node.last_seen = timestamp(member.value);
  }
}

std::optional<double> is_up(const Node& node) {
  if (node.state == "up" || node.state == "suspect") return 1;
  return node.state == "down" ? std::optional(0.0) : std::nullopt;
}

void put_nodes(const Nodes& nodes, Exposition& out) {
  out.family(kGauge, "nodebeat_node_up",
             "Whether a node of the cell is up; without a sample nobody knows");
  for (const auto& [name, node] : nodes) out.sample(is_up(node), {{"node", name}});
  out.family(kGauge, "nodebeat_node_state", "How a node of the cell is: 1 for the present state");
  for (const auto& [name, node] : nodes) out.states(node.state, "state", kStates, {{"node", name}});
  out.family(kGauge, "nodebeat_node_last_seen_timestamp_seconds",
             "When a node of the cell has last shown a sign of life");
  for (const auto& [name, node] : nodes) out.sample(node.last_seen, {{"node", name}});
  out.family(kGauge, "nodebeat_node_state_since_timestamp_seconds",
             "When the present state of a node began");
  for (const auto& [name, node] : nodes) out.sample(node.since, {{"node", name}});
}

constexpr Figure kFigures[] = {
    {kGauge, "nodebeat_cell_nodes", "Nodes that were ever seen in the cell", "total_nodes"},
    {kGauge, "nodebeat_cell_nodes_online", "Nodes of the cell that are up or suspect",
     "nodes_online"},
    {kGauge, "nodebeat_cell_nodes_left_out", "Nodes of the cell that were not reached in time",
     "nodes_left_out"},
    {kGauge, "nodebeat_cell_strokes_active", "Stroke sessions that run in the cell",
     "active_stroke_sessions"},
};

}  // namespace

void put_cell(const std::vector<json::View>& pages, Exposition& out) {
  Nodes nodes;
  for (const json::View page : pages) read_page(page, nodes);
  put_nodes(nodes, out);
  // Without Redis the agent knows its own node only.
  const json::View last = pages.empty() ? json::View() : pages.back();
  if (last["redis_connected"].boolean().value_or(false)) put(kFigures, last, out);
}

}  // namespace nb::metrics
