#include "node/clock_watch.h"

#include <utility>

namespace nb::node {

std::optional<Duration> ClockWatch::step(const Look& look) {
  const Duration span = look.after - look.before;
  const Duration difference = look.wall.time_since_epoch() - look.since_boot;
  const Duration step = difference - std::exchange(difference_, difference);
  // This thread may have been stopped within a look.
  const Duration unsure = span + std::exchange(span_, span);
  if (!std::exchange(has_looked_, true)) return std::nullopt;
  if (std::chrono::abs(step) < kLeastStep + unsure) return std::nullopt;
  return step;
}

ClockWatch::Verdict ClockWatch::judge(Duration offset, Duration uncertainty) {
  const Duration size = std::chrono::abs(offset);
  if (!is_wrong_ && size > kMostOffset + uncertainty) {
    is_wrong_ = true;
    return Verdict::wrong;
  }
  if (is_wrong_ && size + uncertainty < kRightAgain) {
    is_wrong_ = false;
    return Verdict::right;
  }
  return Verdict::same;
}

}  // namespace nb::node
