#include "health/cpu.h"

#include "health/fields.h"

namespace nb::health {

std::optional<CpuTimes> parse_cpu_times(std::string_view text) {
  std::string_view line = next_line(text);
  if (next_word(line) != "cpu") return std::nullopt;
  CpuTimes times;
  int count = 0;
  for (; count < 8; ++count) {
    const std::string_view word = next_word(line);
    if (word.empty()) break;
    const auto ticks = parse_number<uint64_t>(word);
    if (!ticks || __builtin_add_overflow(times.total, *ticks, &times.total)) return std::nullopt;
    if (count == 3 || count == 4) times.idle += *ticks;
  }
  if (count < 4) return std::nullopt;
  return times;
}

void CpuMeter::feed(const std::optional<CpuTimes>& times) {
  if (!times) {
    last_.reset();
    percent_ = 0;
    return;
  }
  // Counters go back when a processor is unplugged and, for iowait, at any time (proc(5)); they
  // stand still when asked twice within a tick. The value before is the best there is then.
  if (last_ && times->total > last_->total && times->idle >= last_->idle) {
    const uint64_t total = times->total - last_->total;
    const uint64_t idle = times->idle - last_->idle;
    percent_ =
        idle >= total ? 0 : 100.0 * static_cast<double>(total - idle) / static_cast<double>(total);
  }
  if (!last_ || times->total != last_->total) last_ = times;
}

}  // namespace nb::health
