// Injected clocks. The agent reads the time through one of these only, so that a test can step the
// wall clock by a day or run a day of beats in a minute; but for since_boot(), which nothing waits
// for.
#pragma once

#include <chrono>

namespace nb {

// Monotonic time: for intervals, deadlines and ages.
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;
// Wall time (UTC), only for timestamps. It may jump in either direction.
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;
using Duration = std::chrono::nanoseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonoTime now() const = 0;
  virtual WallTime wall_now() const = 0;
  // How long an operating-system timer must run for `delay` to pass on this clock. An accelerated
  // clock returns less than it was given.
  virtual Duration real_delay(Duration delay) const { return delay; }
};

// CLOCK_MONOTONIC and CLOCK_REALTIME. The class has no state: one object serves any number of
// threads.
class SystemClock final : public Clock {
 public:
  MonoTime now() const override;
  WallTime wall_now() const override;
};

// Since the computer was started, with the time in which it was suspended, which monotonic time
// leaves out (CLOCK_BOOTTIME).
Duration since_boot();

}  // namespace nb
