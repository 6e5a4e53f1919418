// NodeHealth: the state of a node, and its one JSON object in Redis.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "json/writer.h"

namespace nb::wire {

struct Temperature {
  std::string name;  // as the kernel calls the sensor: "cpu-thermal", "x86_pkg_temp"
  double celsius = 0;
  std::optional<int64_t> age_s;  // of a slow sensor's value that is older than one beat
};

// Pressure stall information, the avg10 figures: percent of the last 10 s in which some, or all,
// tasks waited (kernel: Documentation/accounting/psi.rst).
struct Pressure {
  std::optional<double> cpu_some, memory_some, memory_full, io_some, io_full;
};

struct NetworkRate {
  std::string interface;
  double rx_bytes_per_s = 0;
  double tx_bytes_per_s = 0;
};

struct DiskUse {
  std::string path;  // as configured
  std::optional<double> percent;
  std::string problem;  // why there is no figure: "not mounted", "no answer"
};

// Raspberry Pi firmware: the present state, and everything since boot.
struct Throttling {
  bool under_voltage = false, frequency_capped = false, throttled = false,
       soft_temperature_limit = false;
  bool under_voltage_occurred = false, frequency_capped_occurred = false,
       throttled_occurred = false, soft_temperature_limit_occurred = false;
  uint32_t bits = 0;  // as the firmware reports them
};

struct ProbeReport {
  std::string name;
  std::string type;                  // "mcp", "http", ...
  std::optional<bool> up;            // nothing before the first verdict, and while it is not known
  std::optional<double> latency_ms;  // of the last try, if that succeeded
  std::string detail;                // "everything 2.0.0, MCP 2025-11-25", or why it is not up
  std::optional<int> port;           // TCP port it asks, if any
  std::optional<bool> last_known;    // the verdict that `up` had last; not written
};

// The agent's run before this one, which did not end cleanly.
struct LastRun {
  std::string instance_id;  // empty: not known
  std::optional<WallTime> started;
  std::optional<WallTime> last_beat;
  std::string how;  // systemd's words, such as "signal KILL"; empty: not known
};

void append_json(const LastRun& last_run, std::string& out);

// Why the node's computer was started.
struct BootReason {
  std::string_view reason = "unknown";  // one of a few words (node/boot_reason.h)
  std::string detail;                   // the source of the reason; empty: nothing more is known
};

// The members `boot_reason` and `boot_detail` of an object that the caller has begun, and ends.
void append_boot(const BootReason& boot, json::Writer& json);

struct NodeHealth {
  // The schema's fields, in its order.
  WallTime timestamp{};
  std::string node_id;
  double cpu_percent = 0;
  double memory_percent = 0;
  double disk_percent = 0;  // the fullest
  bool gpu_available = false;
  std::optional<double> gpu_percent;
  std::optional<double> gpu_memory_percent;
  bool is_reachable = true;
  std::optional<double> ping_latency_ms;
  bool mcp_server_running = false;
  std::optional<int> mcp_port;
  WallTime last_heartbeat{};

  // Our own members; readers of the schema ignore them. A member that a node does not have is left
  // out of the JSON.
  std::string reason;               // why it is not reachable: "stopped"
  std::optional<LastRun> last_run;  // in the first beat after a crash
  std::optional<BootReason> boot;   // in the first beat
  std::optional<double> load_1, load_5, load_15;
  std::optional<int64_t> uptime_s;
  std::optional<int64_t> memory_total_bytes, memory_available_bytes;
  std::vector<DiskUse> disks;
  std::string gpu_name;
  std::optional<double> temperature_c;  // the hottest
  std::vector<Temperature> temperatures;
  std::optional<Throttling> throttling;
  Pressure pressure;
  std::vector<NetworkRate> network;
  std::vector<ProbeReport> probes;
  std::string agent_version;
  std::string boot_id;
  std::string instance_id;
  std::string name_conflict;   // the instance of another agent that beats as this node
  bool lease_refused = false;  // Redis refuses the lease, so only the health shows the node
  uint64_t seq = 0;
  std::optional<double> loop_lag_ms;      // the longest since the beat before
  std::optional<double> clock_offset_ms;  // Redis' clock minus this node's
};

// Appends the canonical JSON. Percentages are clamped to 0..100 and are never null.
void append_json(const NodeHealth& health, std::string& out);

}  // namespace nb::wire
