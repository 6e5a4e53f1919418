// The health of this node, as its last beat has it.
#include <string>

#include "metrics/answers.h"
#include "metrics/figure.h"

namespace nb::metrics {
namespace {

constexpr Kind kGauge = Kind::gauge;

constexpr const char* kLoad = "Load of this node, averaged over some minutes";
constexpr const char* kPressure = "Share of the last 10 s in which tasks waited for a resource";

constexpr Figure kFigures[] = {
    {kGauge, "nodebeat_cpu_ratio", "Use of the processors", "cpu_percent", kPercent},
    {kGauge, "nodebeat_load", kLoad, "load_1", 1, {"minutes", "1"}},
    {kGauge, "nodebeat_load", kLoad, "load_5", 1, {"minutes", "5"}},
    {kGauge, "nodebeat_load", kLoad, "load_15", 1, {"minutes", "15"}},
    {kGauge, "nodebeat_memory_used_ratio", "Use of the memory", "memory_percent", kPercent},
    {kGauge, "nodebeat_memory_size_bytes", "Memory of this node", "memory_total_bytes"},
    {kGauge, "nodebeat_memory_available_bytes", "Memory that programs can still get",
     "memory_available_bytes"},
    {kGauge, "nodebeat_disk_fullest_used_ratio", "Use of the fullest disk", "disk_percent",
     kPercent},
    {kGauge, "nodebeat_gpu_available", "Whether a GPU answers", "gpu_available"},
    {kGauge, "nodebeat_gpu_ratio", "Use of the GPU", "gpu_percent", kPercent},
    {kGauge, "nodebeat_gpu_memory_used_ratio", "Use of the GPU's memory", "gpu_memory_percent",
     kPercent},
    {kGauge, "nodebeat_hottest_celsius", "Temperature of the hottest sensor", "temperature_c"},
    {kGauge,
     "nodebeat_pressure_ratio",
     kPressure,
     "pressure.cpu_some",
     kPercent,
     {"resource", "cpu_some"}},
    {kGauge,
     "nodebeat_pressure_ratio",
     kPressure,
     "pressure.memory_some",
     kPercent,
     {"resource", "memory_some"}},
    {kGauge,
     "nodebeat_pressure_ratio",
     kPressure,
     "pressure.memory_full",
     kPercent,
     {"resource", "memory_full"}},
    {kGauge,
     "nodebeat_pressure_ratio",
     kPressure,
     "pressure.io_some",
     kPercent,
     {"resource", "io_some"}},
    {kGauge,
     "nodebeat_pressure_ratio",
     kPressure,
     "pressure.io_full",
     kPercent,
     {"resource", "io_full"}},
    {kGauge, "nodebeat_node_uptime_seconds", "Time since this node's computer was started",
     "uptime_s"},
    {kGauge, "nodebeat_mcp_server_running", "Whether the node's MCP server answers",
     "mcp_server_running"},
    {kGauge, "nodebeat_clock_offset_seconds", "Redis' clock minus this node's", "clock_offset_ms",
     kMilliseconds},
    {kGauge, "nodebeat_loop_lag_seconds", "The longest lag of the agent's loop in a beat",
     "loop_lag_ms", kMilliseconds},
};

// A member of each element of `list`, whose label is another member.
struct Listed {
  std::string_view name;
  std::string_view help;
  std::string_view list, key, value;
  std::string_view label;
  double divisor = 1;
};

constexpr Listed kListed[] = {
    {"nodebeat_disk_used_ratio", "Use of a disk", "disks", "path", "percent", "path", kPercent},
    {"nodebeat_temperature_celsius", "Temperature of a sensor", "temperatures", "name", "celsius",
     "sensor"},
    {"nodebeat_network_receive_bytes_per_second", "Bytes that an interface receives in a second",
     "network", "interface", "rx_bytes_per_s", "interface"},
    {"nodebeat_network_transmit_bytes_per_second", "Bytes that an interface sends in a second",
     "network", "interface", "tx_bytes_per_s", "interface"},
};

constexpr std::string_view kThrottling[] = {"under-voltage", "frequency-capped", "throttled",
                                            "soft-temperature-limit"};

void put_listed(json::View health, Exposition& out) {
  std::string scratch;
  for (const Listed& row : kListed) {
    out.family(kGauge, row.name, row.help);
    for (const json::View element : health[row.list].elements()) {
      const auto label = element[row.key].string(scratch);
      if (label) out.sample(number(element[row.value], row.divisor), {{row.label, *label}});
    }
  }
}

void put_throttling(json::View throttled, Exposition& out) {
  out.family(kGauge, "nodebeat_throttled",
             "Whether the firmware holds the processor back, by cause");
  if (!throttled.exists()) return;
  for (const std::string_view cause : kThrottling) {
    bool holds = false;
    for (const json::View now : throttled["now"].elements()) holds |= now.string_is(cause);
    out.sample(holds ? 1 : 0, {{"cause", cause}});
  }
}

void put_probe_figure(std::string_view name, std::string_view help, json::View probes,
                      std::string_view member, double divisor, Exposition& out) {
  std::string name_scratch;
  std::string type_scratch;
  out.family(kGauge, name, help);
  for (const json::View probe : probes.elements()) {
    const auto label = probe["name"].string(name_scratch);
    const std::string_view type = probe["type"].string(type_scratch).value_or("");
    if (label) out.sample(number(probe[member], divisor), {{"probe", *label}, {"type", type}});
  }
}

}  // namespace

void put_health(json::View health, json::View probes, Exposition& out) {
  put(kFigures, health, out);
  put_listed(health, out);
  put_throttling(health["throttled"], out);
  out.family(Kind::info, "nodebeat_gpu", "The GPU of this node");
  std::string scratch;
  if (const auto gpu = health["gpu_name"].string(scratch)) out.sample(1, {{"name", *gpu}});
  out.family(kGauge, "nodebeat_beat_timestamp_seconds", "When the last beat was made");
  out.sample(timestamp(health["last_heartbeat"]));
  put_probe_figure("nodebeat_probe_up",
                   "Whether what a probe looks at is up; without a sample "
                   "the agent cannot tell",
                   probes, "up", 1, out);
  put_probe_figure("nodebeat_probe_latency_seconds", "How long the last good try of a probe took",
                   health["probes"], "latency_ms", kMilliseconds, out);
}

}  // namespace nb::metrics
