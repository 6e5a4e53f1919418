// The events on node:events:{node}. Each is a JSON object with text `type`, `node_id` and
// `timestamp`, as every reader of these channels expects.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "wire/node_health.h"

namespace nb::wire {

// The node and the agent that the event is from. The views must outlive the call.
struct EventSource {
  std::string_view node_id;
  std::string_view instance_id;
  WallTime timestamp{};
};

// `node_up`: the agent runs. `boot_id` distinguishes a restart of the agent from a reboot of the
// node. `last_run`: the previous run did not end cleanly.
std::string node_up_event(const EventSource& source, std::string_view agent_version,
                          std::string_view boot_id, const BootReason& boot,
                          const std::optional<LastRun>& last_run = std::nullopt);

// `node_down`: a clean stop; `reason` in words.
std::string node_down_event(const EventSource& source, std::string_view reason);

// `probe_changed`: a program beside the agent went up or down.
std::string probe_changed_event(const EventSource& source, const ProbeReport& probe);

// `node_conflict`: another agent writes under the same node name.
std::string node_conflict_event(const EventSource& source, std::string_view other_instance_id);

// `clock_stepped`: the node's clock was set forward, or back (negative).
std::string clock_stepped_event(const EventSource& source, Duration step);

// A program that is, or was, a client of the agent.
struct EventClient {
  std::string_view name;  // of its hello; empty: it has none, and the event neither
  int pid = 0;
};

// `deadline_missed`, `deadline_met`, `deadline_ended`: a client has not pushed within the time that
// it promised in its hello; it pushes again; its deadline ended before it did.
struct DeadlineReport {
  Duration deadline{};
  Duration gap{};           // since the last push; of `deadline_met` between the two pushes
  uint64_t missed = 0;      // how often, so far
  std::string_view reason;  // of the end; else empty
};
std::string deadline_event(const EventSource& source, std::string_view type,
                           const EventClient& client, const DeadlineReport& report);

// `client_lost`: a client that has a will or a deadline has gone without a goodbye.
struct ClientEnd {
  std::string_view cause;        // "signal", "exit", "died", "closed", "unknown"
  std::string_view signal;       // of the first: "KILL"
  std::optional<int> exit_code;  // of the second
  bool dumped_core = false;
  bool had_will = false;
};
std::string client_lost_event(const EventSource& source, const EventClient& client,
                              const ClientEnd& end);

// Events of the watcher of the cell: about another node, whose names `source` has, or about itself.
// Members that are empty or not set are left out.
//      node_suspect       last_change_ms, watcher: the lease was not renewed for a while
//      node_cleared       watcher: the lease was renewed after all
//      node_lost          boot_id, cause, last_change_ms, watcher: it was not renewed for too long
//      node_returned      boot_id, how, watcher: withdraws node_lost; how the node returns
//      watcher_uncertain  silent, nodes: so many of so many are silent at once that it waits
//      watcher_sure       the watcher no longer waits
struct WatchNews {
  std::string_view type;
  std::string_view boot_id = {};
  std::string_view cause = {};
  std::string_view how = {};
  std::optional<uint32_t> last_change_ms = std::nullopt;
  uint32_t silent = 0;
  uint32_t nodes = 0;  // 0: neither of the two is written
  std::string_view watcher = {};
};
std::string watch_event(const EventSource& source, const WatchNews& news);

// Events for the programs of the agent's own computer only: `redis_gone` with the reason in words,
// and `redis_back`.
std::string redis_gone_event(const EventSource& source, std::string_view reason);
std::string redis_back_event(const EventSource& source);

// `events_lost`: `count` events of that span of time were dropped before they could go to Redis.
std::string events_lost_event(const EventSource& source, uint64_t count, WallTime first,
                              WallTime last);

}  // namespace nb::wire
