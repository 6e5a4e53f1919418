// The clock of libnodebeat, which must not need more than libc.
#pragma once

#include <cstdint>
#include <ctime>

namespace nb::client {

// CLOCK_MONOTONIC.
inline int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

// Milliseconds until then, rounded up; 0 if it has passed.
inline int64_t ms_until(int64_t time_ns) {
  const int64_t left = (time_ns - now_ns() + 999999) / 1000000;
  return left > 0 ? left : 0;
}

}  // namespace nb::client
