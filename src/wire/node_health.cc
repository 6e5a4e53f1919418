#include "wire/node_health.h"

#include <algorithm>
#include <cmath>

#include "base/timestamp.h"
#include "json/writer.h"

namespace nb::wire {
namespace {

// Two decimals everywhere: further digits are noise, and 12.35 is shorter than 12.345678.
constexpr int kDecimals = 2;

void percent(json::Writer& json, const char* key, double value) {
  json.key(key).rounded(std::isfinite(value) ? std::clamp(value, 0.0, 100.0) : 0, kDecimals);
}

void percent_or_null(json::Writer& json, const char* key, const std::optional<double>& value) {
  if (value) {
    percent(json, key, *value);
  } else {
    json.key(key).null();
  }
}

void optional_number(json::Writer& json, const char* key, const std::optional<double>& value,
                     int decimals = kDecimals) {
  if (value) json.key(key).rounded(*value, decimals);
}

void optional_integer(json::Writer& json, const char* key, const std::optional<int64_t>& value) {
  if (value) json.key(key).integer(*value);
}

void optional_text(json::Writer& json, const char* key, const std::string& text) {
  if (!text.empty()) json.key(key).string(text);
}

void append_pressure(json::Writer& json, const Pressure& p) {
  if (!p.cpu_some && !p.memory_some && !p.io_some) return;
  json.key("pressure").begin_object();
  optional_number(json, "cpu_some", p.cpu_some);
  optional_number(json, "memory_some", p.memory_some);
  optional_number(json, "memory_full", p.memory_full);
  optional_number(json, "io_some", p.io_some);
  optional_number(json, "io_full", p.io_full);
  json.end_object();
}

void append_throttling(json::Writer& json, const Throttling& t) {
  json.key("throttled").begin_object();
  json.key("now").begin_array();
  if (t.under_voltage) json.string("under-voltage");
  if (t.frequency_capped) json.string("frequency-capped");
  if (t.throttled) json.string("throttled");
  if (t.soft_temperature_limit) json.string("soft-temperature-limit");
  json.end_array().key("since_boot").begin_array();
  if (t.under_voltage_occurred) json.string("under-voltage");
  if (t.frequency_capped_occurred) json.string("frequency-capped");
  if (t.throttled_occurred) json.string("throttled");
  if (t.soft_temperature_limit_occurred) json.string("soft-temperature-limit");
  json.end_array().key("bits").integer(t.bits).end_object();
}

void append_probe(json::Writer& json, const ProbeReport& probe) {
  json.begin_object().key("name").string(probe.name).key("type").string(probe.type).key("up");
  if (probe.up) {
    json.boolean(*probe.up);
  } else {
    json.null();
  }
  optional_number(json, "latency_ms", probe.latency_ms, 3);
  if (probe.port) json.key("port").integer(*probe.port);
  optional_text(json, "detail", probe.detail);
  json.end_object();
}

void append_schema_fields(json::Writer& json, const NodeHealth& h) {
  json.key("timestamp").string(format_timestamp(h.timestamp));
  json.key("node_id").string(h.node_id);
  percent(json, "cpu_percent", h.cpu_percent);
  percent(json, "memory_percent", h.memory_percent);
  percent(json, "disk_percent", h.disk_percent);
  json.key("gpu_available").boolean(h.gpu_available);
  percent_or_null(json, "gpu_percent", h.gpu_percent);
  percent_or_null(json, "gpu_memory_percent", h.gpu_memory_percent);
  json.key("is_reachable").boolean(h.is_reachable);
  json.key("ping_latency_ms");
  if (h.ping_latency_ms) {
    json.rounded(*h.ping_latency_ms, 3);
  } else {
    json.null();
  }
  json.key("mcp_server_running").boolean(h.mcp_server_running);
  json.key("mcp_port");
  if (h.mcp_port) {
    json.integer(*h.mcp_port);
  } else {
    json.null();
  }
  json.key("last_heartbeat").string(format_timestamp(h.last_heartbeat));
}

void append_own_fields(json::Writer& json, const NodeHealth& h) {
  optional_text(json, "reason", h.reason);
  if (h.last_run) {
    std::string text;
    append_json(*h.last_run, text);
    json.key("last_run").raw(text);
  }
  if (h.boot) append_boot(*h.boot, json);
  optional_number(json, "load_1", h.load_1);
  optional_number(json, "load_5", h.load_5);
  optional_number(json, "load_15", h.load_15);
  optional_integer(json, "uptime_s", h.uptime_s);
  optional_integer(json, "memory_total_bytes", h.memory_total_bytes);
  optional_integer(json, "memory_available_bytes", h.memory_available_bytes);
  if (!h.disks.empty()) {
    json.key("disks").begin_array();
    for (const DiskUse& disk : h.disks) {
      json.begin_object().key("path").string(disk.path);
      percent_or_null(json, "percent", disk.percent);
      optional_text(json, "problem", disk.problem);
      json.end_object();
    }
    json.end_array();
  }
  optional_text(json, "gpu_name", h.gpu_name);
  optional_number(json, "temperature_c", h.temperature_c, 1);
  if (!h.temperatures.empty()) {
    json.key("temperatures").begin_array();
    for (const Temperature& t : h.temperatures) {
      json.begin_object().key("name").string(t.name).key("celsius").rounded(t.celsius, 1);
      optional_integer(json, "age_s", t.age_s);
      json.end_object();
    }
    json.end_array();
  }
  if (h.throttling) append_throttling(json, *h.throttling);
  append_pressure(json, h.pressure);
  if (!h.network.empty()) {
    json.key("network").begin_array();
    for (const NetworkRate& rate : h.network) {
      json.begin_object().key("interface").string(rate.interface);
      json.key("rx_bytes_per_s").rounded(rate.rx_bytes_per_s, 0);
      json.key("tx_bytes_per_s").rounded(rate.tx_bytes_per_s, 0).end_object();
    }
    json.end_array();
  }
  if (!h.probes.empty()) {
    json.key("probes").begin_array();
    for (const ProbeReport& probe : h.probes) append_probe(json, probe);
    json.end_array();
  }
  optional_text(json, "agent_version", h.agent_version);
  optional_text(json, "boot_id", h.boot_id);
  optional_text(json, "instance_id", h.instance_id);
  optional_text(json, "name_conflict", h.name_conflict);
  if (h.lease_refused) json.key("lease_refused").boolean(true);
  json.key("seq").integer(static_cast<int64_t>(h.seq));
  optional_number(json, "loop_lag_ms", h.loop_lag_ms, 3);
  optional_number(json, "clock_offset_ms", h.clock_offset_ms, 1);
}

}  // namespace

void append_boot(const BootReason& boot, json::Writer& json) {
  json.key("boot_reason").string(boot.reason);
  optional_text(json, "boot_detail", boot.detail);
}

void append_json(const LastRun& last_run, std::string& out) {
  json::Writer json(out);
  json.begin_object().key("clean").boolean(false);
  optional_text(json, "instance_id", last_run.instance_id);
  if (last_run.started) json.key("started").string(format_timestamp(*last_run.started));
  if (last_run.last_beat) json.key("last_beat").string(format_timestamp(*last_run.last_beat));
  optional_text(json, "how", last_run.how);
  json.end_object();
}

void append_json(const NodeHealth& health, std::string& out) {
  json::Writer json(out);
  json.begin_object();
  append_schema_fields(json, health);
  append_own_fields(json, health);
  json.end_object();
}

}  // namespace nb::wire
