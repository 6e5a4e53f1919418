// Times of day for people.
#pragma once

#include <cstdint>
#include <string>

namespace nb::terminal {

// Microseconds since 1970.
int64_t now_us();

// "14:03:07" in the local time zone, with the date before it if that is not today's.
std::string local_time(int64_t us, int64_t now);
// The zone of these times: "CET", or "UTC+01" where it has no letters.
std::string local_zone(int64_t us);
// "14:03:07.123"
std::string local_time_ms(int64_t us);

}  // namespace nb::terminal
