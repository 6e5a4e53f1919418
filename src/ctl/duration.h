// Durations on the command line: those of the configuration (config/units.h). A number without a
// unit means seconds, and "m" means minutes.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace nb::ctl {

// Whole milliseconds.
std::optional<int64_t> parse_duration(std::string_view text);

}  // namespace nb::ctl
