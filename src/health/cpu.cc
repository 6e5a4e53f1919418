#include "health/cpu.h"

#include "health/fields.h"

namespace nb::health {
namespace {

constexpr size_t kIdle = 3;
constexpr size_t kIoWait = 4;

}  // namespace

std::optional<CpuTimes> parse_cpu_times(std::string_view text) {
  std::string_view line = next_line(text);
  if (next_word(line) != "cpu") return std::nullopt;
  CpuTimes times;
  size_t count = 0;
  for (; count < times.ticks.size(); ++count) {
    const std::string_view word = next_word(line);
    if (word.empty()) break;
    const auto ticks = parse_number<uint64_t>(word);
    if (!ticks) return std::nullopt;
    times.ticks[count] = *ticks;
  }
  if (count <= kIdle) return std::nullopt;
  return times;
}

void CpuMeter::feed(MonoTime now, const std::optional<CpuTimes>& times) {
  if (!times) {
    last_.reset();
    percent_.reset();
    return;
  }
  if (last_ && now - last_time_ < kLeast) return;
  percent_.reset();
  if (last_) {
    // A column runs backwards when a processor is unplugged, when a machine is migrated (steal),
    // and at any time (iowait, proc(5)). Such a column counts as zero; the others count as usual.
    double idle = 0;
    double total = 0;
    for (size_t i = 0; i < times->ticks.size(); ++i) {
      if (times->ticks[i] <= last_->ticks[i]) continue;
      const auto passed = static_cast<double>(times->ticks[i] - last_->ticks[i]);
      total += passed;
      if (i == kIdle || i == kIoWait) idle += passed;
    }
    if (total > 0) percent_ = 100 * (total - idle) / total;
  }
  last_ = times;
  last_time_ = now;
}

}  // namespace nb::health
