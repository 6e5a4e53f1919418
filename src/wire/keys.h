// Names of keys and channels in Redis. The rule for the names of nodes in them is in base/name.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nb::wire {

std::string node_health_key(std::string_view node);      // HASH, field "health"
std::string node_metrics_stream(std::string_view node);  // STREAM of past healths
std::string node_events_channel(std::string_view node);  // pub/sub
// STREAMs of events that must not be lost for coming late, with the fields "channel" and "event".
// The first has errors, and starts and ends of sessions; the second has the messages of one
// channel; the third has the messages of channels without a stream of their own.
std::string node_events_stream(std::string_view node);
std::string channel_events_stream(std::string_view node, std::string_view channel);
std::string other_events_stream(std::string_view node);
std::string robot_state_key(std::string_view node);           // HASH, "state", "last_updated"
std::string stroke_progress_key(std::string_view session);    // HASH, field "progress"
std::string stroke_history_stream(std::string_view session);  // STREAM
// The number at the end of a session's name (stroke_{node}_{seconds}), which is taken away from
// `name` with its '_'.
std::optional<uint64_t> take_stroke_number(std::string_view& name);
std::string error_events_channel(std::string_view category);  // pub/sub
inline constexpr std::string_view kRobotEventsChannel = "robot:events";
inline constexpr std::string_view kNodeEventsPrefix = "node:events:";  // of node_events_channel()
inline constexpr std::string_view kStrokeSessionChannel = "stroke:events:session";
inline constexpr std::string_view kStrokeProgressChannel = "stroke:events:progress";
std::string robot_telemetry_stream(std::string_view node);  // STREAM of samples of the joints
// HASH of every node that was ever seen: node -> what its agent reported about itself at its start.
inline constexpr std::string_view kNodesKey = "nodebeat:nodes";
// HASH of the stroke sessions that run: node -> session; empty: none.
inline constexpr std::string_view kStrokesKey = "nodebeat:strokes";
// STRING: the lease of a node, one line of words (wire/lease.h), with a time to live that only
// removes old leases. No agent judges by whether it exists.
inline constexpr std::string_view kLeasePrefix = "nodebeat:lease:";
std::string lease_key(std::string_view node);
// STRING: which agent watches the leases (wire/lease.h). HASH of the nodes that were announced as
// lost: node -> the lease that it was lost with.
inline constexpr std::string_view kWatchKey = "nodebeat:watch";
inline constexpr std::string_view kDeadKey = "nodebeat:dead";
// STREAM of the watcher's events on the channels of nodes, "channel" and "event".
inline constexpr std::string_view kCellEventsStream = "stream:cell_events";
// Sessions with versions. Each session is a STRING of JSON. Of all sessions there are a ZSET by the
// time at which they expire, a HASH of digests, and a STREAM of all writes with their writers. Each
// run of an agent has a HASH of its last writes.
std::string session_key(std::string_view id);
inline constexpr std::string_view kSessionsKey = "nodebeat:sessions";
inline constexpr std::string_view kSessionSealsKey = "nodebeat:sessions:seals";
inline constexpr std::string_view kSessionAuditKey = "nodebeat:sessions:audit";
std::string session_writes_key(std::string_view node, std::string_view instance);

// Whether the readers of sessions listen there, to the messages of the script.
bool is_session_channel(std::string_view channel);
// Whether other programs parse this key, or the agents use it: then it is not for arbitrary values.
bool is_reserved_key(std::string_view key);
// Whether the channel's readers want each message to be an object with text `type` and `timestamp`.
bool is_strict_channel(std::string_view channel);

}  // namespace nb::wire
