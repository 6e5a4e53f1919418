// Timestamps of the schema (UTC, "2026-11-20T14:03:07.123456"), and times of day for people.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nb::ctl {

// Microseconds since 1970. Takes any number of decimals and a final 'Z'.
std::optional<int64_t> parse_timestamp(std::string_view text);

int64_t now_us();

// "14:03:07" in the local time zone, with the date before it if that is not today's.
std::string local_time(int64_t us, int64_t now);
// "14:03:07.123"
std::string local_time_ms(int64_t us);

// "250ms", "10s", "5min", "2h", "1d", or plain seconds; milliseconds.
std::optional<int64_t> parse_duration(std::string_view text);

}  // namespace nb::ctl
