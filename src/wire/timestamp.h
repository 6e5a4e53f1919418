// Timestamps as text, in the three forms that the programs on the other side of Redis parse.
#pragma once

#include <string>

#include "base/clock.h"

namespace nb::wire {

// "2026-11-20T14:03:07.123456": UTC, microseconds, no zone suffix (records, events).
std::string format_timestamp(WallTime time);

}  // namespace nb::wire
