// ServerClock: what time it is on the server, by a look at its clock now and then. All agents of a
// cell have this clock in common, whatever their own wall clocks say. Pure.
#pragma once

#include <optional>

#include "base/clock.h"

namespace nb::redis {

class ServerClock {
 public:
  // The server said `at` when it was asked between `asked` and `answered`. The reading is off by at
  // most half of that time.
  void read(WallTime at, MonoTime asked, MonoTime answered) {
    uncertainty_ = (answered - asked) / 2;
    base_ = at + std::chrono::duration_cast<WallTime::duration>(uncertainty_);
    read_ = answered;
  }
  // Nothing as long as the server has not told its time.
  std::optional<WallTime> now(MonoTime now) const {
    if (read_ == MonoTime::min()) return std::nullopt;
    return base_ + std::chrono::duration_cast<WallTime::duration>(now - read_);
  }
  // How far off that may be.
  Duration uncertainty() const { return uncertainty_; }
  // When the server has told its time; MonoTime::min(): never.
  MonoTime read_at() const { return read_; }

 private:
  WallTime base_{};  // on the server when it was read
  Duration uncertainty_{};
  MonoTime read_ = MonoTime::min();
};

}  // namespace nb::redis
