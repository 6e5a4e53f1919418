// Durations and sizes as people write them in a configuration: one whole number and a unit,
// "250ms", "5s", "64KiB". A number without a unit is refused: the reader would have to guess it.
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace nb::config {

// Units: ns, us, ms, s, min, h, d. The error says what would be right.
Result<Duration> parse_duration(std::string_view text);
// Units: B, KiB, MiB, GiB (powers of 1024), kB or KB, MB, GB (powers of 1000).
Result<uint64_t> parse_size(std::string_view text);

// In the largest unit that holds the value exactly, so that parsing it gives the value again.
std::string format_duration(Duration duration);
std::string format_size(uint64_t bytes);

}  // namespace nb::config
