// Figures: an agent's counters and present values, in one plain struct. LocalApi::figures() fills
// it, and nothing else collects a figure. The functions below print it: as JSON for agent.stats, as
// the struct of the C ABI, as one line of text for the service manager.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/histogram.h"
#include "fleet/watch.h"
#include "ipc/rpc_server.h"
#include "json/writer.h"
#include "nodebeat/agent.h"
#include "outbox/outbox.h"
#include "redis/link.h"

namespace nb::agent {

// The views and pointers are valid until the loop's next turn.
struct Figures {
  std::string_view node;
  std::string_view instance;
  std::string_view conflict;  // another agent that beats as this node; empty: none
  Duration uptime{};
  uint64_t beats = 0;
  uint64_t reloads = 0;  // configurations that were swapped in

  const redis::LinkStatus* link = nullptr;
  std::string target;  // where the link leads

  struct Outbox {
    size_t slots = 0, slots_waiting = 0;
    size_t events_waiting = 0, event_bytes = 0, urgent_bytes = 0;
    uint64_t event_bytes_limit = 0, urgent_bytes_limit = 0;
    outbox::OutboxCounters counters;
    uint64_t coalesced = 0, dropped = 0, dropped_old = 0;
    size_t in_flight = 0;
    WallTime last_dropped{};  // 1970: nothing was dropped
  } outbox;

  const Histogram* accept_latency = nullptr;
  const Histogram* store_latency = nullptr;
  const Histogram* push_intervals = nullptr;

  ipc::RpcCounters calls;  // and connections
  size_t clients = 0, clients_limit = 0;

  struct Subscriptions {
    size_t local = 0;
    redis::LinkState remote_state = redis::LinkState::stopped;
    uint64_t delivered = 0, echoes_dropped = 0, gaps = 0, too_late = 0;
  } subscriptions;

  fleet::WatchFigures watch;
  std::string_view lease_refusal;   // Redis' words; empty: it takes this node's lease
  std::string_view stroke_session;  // empty: none runs
};

// The members of an object that the caller has begun, and ends.
void append_json(const Figures& figures, json::Writer& json);
nb_agent_stats to_c(const Figures& figures);
std::string status_line(const Figures& figures);

}  // namespace nb::agent
