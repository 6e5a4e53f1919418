// Redis, as the server reports about itself, under the names of redis_exporter.
#include <string>

#include "metrics/answers.h"
#include "metrics/figure.h"

namespace nb::metrics {
namespace {

constexpr Kind kGauge = Kind::gauge;

constexpr Figure kFigures[] = {
    {kGauge, "redis_memory_used_bytes", "Memory that Redis uses", "used_memory_bytes"},
    {kGauge, "redis_memory_max_bytes", "Memory that Redis may use; 0: without a limit",
     "maxmemory_bytes"},
    {kGauge, "redis_connected_clients", "Clients that are connected to Redis", "connected_clients"},
    {kGauge, "redis_loading_dump_file", "Whether Redis is loading its data", "loading"},
    {kGauge, "redis_aof_enabled", "Whether Redis keeps an append-only file", "aof_enabled"},
    {kGauge, "redis_rdb_last_bgsave_status", "Whether the last dump of Redis was written",
     "rdb_last_save_ok"},
};

}  // namespace

void put_redis(json::View stats, json::View inspect, Exposition& out) {
  out.family(kGauge, "redis_up", "Whether the agent is connected to Redis");
  if (at(stats, "link.state").exists()) out.sample(link_is_up(stats["link"]) ? 1 : 0);
  put(kFigures, inspect, out);
  std::string version;
  std::string role;
  std::string policy;
  out.family(Kind::info, "redis_instance", "The cell's Redis");
  const auto text = [&](std::string_view name, std::string& scratch) {
    return inspect[name].string(scratch).value_or("");
  };
  if (text("version", version).empty()) return;
  out.sample(1, {{"redis_version", text("version", version)},
                 {"role", text("role", role)},
                 {"maxmemory_policy", text("maxmemory_policy", policy)}});
}

}  // namespace nb::metrics
