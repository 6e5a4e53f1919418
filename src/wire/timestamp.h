// Timestamps as text, as the programs on the other side of Redis parse them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace nb::wire {

// "2026-11-20T14:03:07.123456": UTC, microseconds, no zone suffix (records, events).
std::string format_timestamp(WallTime time);
void append_timestamp(WallTime time, std::string& out);

// The same form back; nothing if the text is of another.
std::optional<WallTime> parse_timestamp(std::string_view text);

}  // namespace nb::wire
