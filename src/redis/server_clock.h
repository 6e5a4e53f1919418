// ServerClock: what time it is on the server, by looks at its clock now and then. All agents of a
// cell have this clock in common, whatever their own wall clocks say. Pure.
#pragma once

#include <optional>

#include "base/clock.h"

namespace nb::redis {

class ServerClock {
 public:
  // The server said `at` when it was asked between `asked` and `answered`. The reading is off by at
  // most half of that time. A reading that confirms what is known, and is less exact, changes
  // nothing. One that contradicts it shows that the clock was set.
  void read(WallTime at, MonoTime asked, MonoTime answered);
  // Nothing as long as the server has not told its time.
  std::optional<WallTime> now(MonoTime now) const;
  // The time by the clock as it was before it was set, for some seconds afterwards: another agent
  // may not have noticed yet. Nothing if the clock was not set lately.
  std::optional<WallTime> before_set(MonoTime now) const;
  // How far off that was when the server told its time last.
  Duration uncertainty() const { return uncertainty_; }
  // When the server has told its time; MonoTime::min(): never.
  MonoTime read_at() const { return read_; }

 private:
  WallTime base_{};  // on the server when it was read
  Duration uncertainty_{};
  MonoTime read_ = MonoTime::min();
  Duration set_by_{};  // when it was set last
  MonoTime set_ = MonoTime::min();
};

}  // namespace nb::redis
