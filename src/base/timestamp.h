// Timestamps as text, as the programs on the other side of Redis parse them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace nb {

// "2026-11-20T14:03:07.123456": UTC, microseconds, no zone suffix (records, events).
std::string format_timestamp(WallTime time);
void append_timestamp(WallTime time, std::string& out);

// Reads that form, and the forms in which others write the same moment: without a fraction
// (Python's isoformat() leaves out a fraction of zero), with a fraction of 1 to 9 digits (those
// behind the sixth are cut off), with `Z` or `+00:00` at the end. Nothing if the text is none of
// these.
std::optional<WallTime> parse_timestamp(std::string_view text);

}  // namespace nb
