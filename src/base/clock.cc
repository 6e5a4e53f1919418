#include "base/clock.h"

#include <sys/types.h>

#include <ctime>

namespace nb {
namespace {

// On 32-bit Arm these sizes depend on flags: see meson.build.
static_assert(sizeof(time_t) == 8, "time would end in 2038");
static_assert(sizeof(off_t) == 8, "files would end at 2 GB");

Duration read_clock(clockid_t id) {
  timespec ts{};
  clock_gettime(id, &ts);
  return std::chrono::seconds(ts.tv_sec) + std::chrono::nanoseconds(ts.tv_nsec);
}

}  // namespace

MonoTime SystemClock::now() const {
  return MonoTime(read_clock(CLOCK_MONOTONIC));
}

WallTime SystemClock::wall_now() const {
  return WallTime(std::chrono::floor<std::chrono::microseconds>(read_clock(CLOCK_REALTIME)));
}

Duration since_boot() {
  return read_clock(CLOCK_BOOTTIME);
}

}  // namespace nb
