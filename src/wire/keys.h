// Names of keys and channels in Redis, and what may stand in them. The other programs take the
// tail of a key for the name of a node, so a name that could be mistaken is never written.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace nb::wire {

// Letters, digits, '-', '_' and '.', 1 to 64 bytes. The error says what is allowed.
Status check_node_name(std::string_view name);

std::string node_health_key(std::string_view node);      // HASH, field "health"
std::string node_metrics_stream(std::string_view node);  // STREAM of past healths
std::string node_events_channel(std::string_view node);  // pub/sub

}  // namespace nb::wire
