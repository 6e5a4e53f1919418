#include "base/clock.h"

#include <ctime>

namespace nb {
namespace {

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

}  // namespace nb
