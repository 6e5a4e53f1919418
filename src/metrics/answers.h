// The agent's answers as metrics: the samples of each, and all of them as one text. An unknown
// value is left out, never repeated from before. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "json/view.h"
#include "metrics/exposition.h"

namespace nb::metrics {

// The gate's own counters.
struct GateFigures {
  uint64_t requests = 0;   // that were answered by a handler
  uint64_t refused = 0;    // for their host, origin or size
  uint64_t timeouts = 0;   // connections that took too long
  uint64_t displaced = 0;  // idle connections that were closed for others
  uint64_t cut_off = 0;    // event streams that were not read
  size_t connections = 0;
};

// The answers of a scrape. A view is missing where the agent has not answered.
struct Answers {
  std::string_view gate_version;
  GateFigures gate;
  bool agent_is_there = false;
  json::View stats;                // agent.stats
  json::View health;               // `health` of health.get of the agent's own node
  std::vector<json::View> status;  // the pages of system.status
  json::View redis;                // redis.inspect
};

// The whole text.
std::string render(const Answers& answers, Format format);

// The state of the link in agent.stats: connected to Redis.
bool link_is_up(json::View link);

void put_agent(json::View stats, Exposition& out);
// The verdicts of the probes are the agent's present ones, the figures those of the last beat.
void put_health(json::View health, json::View probes, Exposition& out);
void put_cell(const std::vector<json::View>& pages, Exposition& out);
// Under the names of redis_exporter. Without stats nothing is known of Redis.
void put_redis(json::View stats, json::View inspect, Exposition& out);

}  // namespace nb::metrics
