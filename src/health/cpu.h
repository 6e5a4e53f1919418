// How busy the processors are: the difference of two samples of /proc/stat.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"

namespace nb::health {

// All processors together, in clock ticks since boot: user, nice, system, idle, iowait, irq,
// softirq, steal. Guest time is inside user time already.
struct CpuTimes {
  std::array<uint64_t, 8> ticks{};
};

// The first line of /proc/stat (proc(5)). Kernels before 2.6.11 have no steal: four numbers are
// enough.
std::optional<CpuTimes> parse_cpu_times(std::string_view text);

class CpuMeter {
 public:
  // Two samples closer than this are useless: the counters do not change within a tick (10 ms).
  static constexpr Duration kLeast = std::chrono::milliseconds(50);

  // The next sample; nothing if /proc/stat could not be read. `now` must not go back.
  void feed(MonoTime now, const std::optional<CpuTimes>& times);

  // Percent busy between the last two samples; nothing before there are two, and when no counter
  // has moved between them. Stolen time counts as busy: the node wanted to run and could not, which
  // for a control loop is the same as being busy.
  std::optional<double> percent() const { return percent_; }

 private:
  std::optional<CpuTimes> last_;
  MonoTime last_time_{};
  std::optional<double> percent_;
};

}  // namespace nb::health
