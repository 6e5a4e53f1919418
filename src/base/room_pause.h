// RoomPause: how long to wait before the next check whether a client has read its output: briefly
// at first, and longer where a client never reads.
#pragma once

#include <algorithm>

#include "base/clock.h"

namespace nb {

class RoomPause {
 public:
  Duration next() {
    const Duration pause = pause_;
    pause_ = std::min(2 * pause_, kMost);
    return pause;
  }
  void reset() { pause_ = kLeast; }

 private:
  static constexpr Duration kLeast = std::chrono::milliseconds(20);
  static constexpr Duration kMost = std::chrono::milliseconds(640);

  Duration pause_ = kLeast;
};

}  // namespace nb
