#include "wire/keys.h"

#include <algorithm>

namespace nb::wire {

using namespace std::string_view_literals;  // built for size, only these know their length

namespace {

std::string join(std::string_view prefix, std::string_view node) {
  std::string key(prefix);
  key += node;
  return key;
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
std::string error_events_channel(std::string_view category) {
  return join("error:events:", category);
}

std::string session_key(std::string_view id) {
  return join("session:", id);
}
std::string session_writes_key(std::string_view node, std::string_view instance) {
  return join("nodebeat:sessions:writes:", node) + ':' + std::string(instance);
}

bool is_reserved_key(std::string_view key) {
  for (const std::string_view prefix :
       {"node:"sv, "robot:"sv, "stroke:"sv, "stream:"sv, "session:"sv, "nodebeat:"sv}) {
    if (key.starts_with(prefix)) return true;
  }
  return false;
}

bool is_strict_channel(std::string_view channel) {
  if (channel == kRobotEventsChannel || channel == "system:events"sv) return true;
  for (const std::string_view prefix : {"stroke:events:"sv, "error:events:"sv, "node:events:"sv}) {
    if (channel.starts_with(prefix)) return true;
  }
  return false;
}

}  // namespace nb::wire
