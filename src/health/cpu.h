// How busy the processors are: the difference of two samples of /proc/stat.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace nb::health {

// All processors together, in clock ticks since boot.
struct CpuTimes {
  uint64_t idle = 0;   // idle + iowait
  uint64_t total = 0;  // user + nice + system + idle + iowait + irq + softirq + steal
};

// The first line of /proc/stat (proc(5)). Guest time is inside user time already. Kernels before
// 2.6.11 have no steal: four numbers are enough.
std::optional<CpuTimes> parse_cpu_times(std::string_view text);

class CpuMeter {
 public:
  // The next sample; nothing if /proc/stat could not be read.
  void feed(const std::optional<CpuTimes>& times);

  // Percent busy between the last two samples; 0 before there are two. Stolen time counts as busy:
  // the node wanted to run and could not, which for a control loop is the same as being busy.
  double percent() const { return percent_; }

 private:
  std::optional<CpuTimes> last_;
  double percent_ = 0;
};

}  // namespace nb::health
