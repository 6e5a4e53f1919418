#include "wire/keys.h"

#include <algorithm>
#include <initializer_list>

#include "base/text.h"

namespace nb::wire {

using namespace std::string_view_literals;  // built for size, only these know their length

namespace {

std::string join(std::string_view prefix, std::string_view node) {
  std::string key(prefix);
  key += node;
  return key;
}

// Each key and channel that a client names comes by here. The first letter rules out most.
bool begins_with_any(std::string_view text, std::initializer_list<std::string_view> prefixes) {
  for (const std::string_view prefix : prefixes) {
    if (!text.empty() && text.front() == prefix.front() && text.starts_with(prefix)) return true;
  }
  return false;
}

}  // namespace

std::string node_health_key(std::string_view node) {
  return join("node:health:", node);
}
std::string node_metrics_stream(std::string_view node) {
  return join("stream:node_metrics:", node);
}
std::string node_events_channel(std::string_view node) {
  return join("node:events:", node);
}
std::string node_events_stream(std::string_view node) {
  return join("stream:node_events:", node);
}
std::string channel_events_stream(std::string_view node, std::string_view channel) {
  return join(other_events_stream(node) + ":", channel);
}
std::string other_events_stream(std::string_view node) {
  return join("stream:events:", node);
}
std::string lease_key(std::string_view node) {
  return join(kLeasePrefix, node);
}
std::string robot_telemetry_stream(std::string_view node) {
  return join("stream:robot_telemetry:", node);
}
std::string robot_state_key(std::string_view node) {
  return join("robot:state:", node);
}
std::string stroke_progress_key(std::string_view session) {
  return join("stroke:progress:", session);
}
std::string stroke_history_stream(std::string_view session) {
  return join("stream:stroke_history:", session);
}
std::optional<uint64_t> take_stroke_number(std::string_view& name) {
  const size_t at = name.rfind('_');
  if (at == name.npos) return std::nullopt;
  const auto number = parse_number<uint64_t>(name.substr(at + 1));
  if (number) name = name.substr(0, at);
  return number;
}
std::string error_events_channel(std::string_view category) {
  return join("error:events:", category);
}

std::string session_key(std::string_view id) {
  return join("session:", id);
}
std::string session_writes_key(std::string_view node, std::string_view instance) {
  return join("nodebeat:sessions:writes:", node) + ':' + std::string(instance);
}

bool is_session_channel(std::string_view channel) {
  return same(channel, "session-updates"sv) || begins_with_any(channel, {"ws:"sv});
}

bool is_reserved_key(std::string_view key) {
  return begins_with_any(
      key, {"node:"sv, "robot:"sv, "stroke:"sv, "stream:"sv, "session:"sv, "nodebeat:"sv});
}

bool is_strict_channel(std::string_view channel) {
  return same(channel, kRobotEventsChannel) || same(channel, "system:events"sv) ||
         begins_with_any(channel, {"stroke:events:"sv, "error:events:"sv, "node:events:"sv});
}

}  // namespace nb::wire
