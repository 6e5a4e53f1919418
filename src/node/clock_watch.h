// ClockWatch: whether this computer's clock was set, and whether it differs from Redis' by more
// than it should. Pure: looks at the clocks are handed in.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace nb::node {

class ClockWatch {
 public:
  static constexpr Duration kMostOffset = std::chrono::milliseconds(25);

  // The two other clocks were read between `before` and `after`.
  struct Look {
    MonoTime before{};
    Duration since_boot{};
    WallTime wall{};
    MonoTime after{};
  };
  // How far the clock was set since the look before; nothing if it was not. A clock that is slowed
  // or hurried, as NTP does, takes the time since boot along, and is not set. Nor is that of a
  // computer that was suspended.
  std::optional<Duration> step(const Look& look);

  enum class Verdict : uint8_t { same, wrong, right };
  // The offset from Redis' clock is known to within `uncertainty`. `wrong` and `right` come once
  // each time that it changes.
  Verdict judge(Duration offset, Duration uncertainty);

 private:
  static constexpr Duration kLeastStep = std::chrono::milliseconds(10);
  static constexpr Duration kRightAgain = std::chrono::milliseconds(20);

  bool has_looked_ = false;
  Duration difference_{};  // of the two clocks, when they were looked at last
  Duration span_{};        // in which that look was
  bool is_wrong_ = false;
};

}  // namespace nb::node
