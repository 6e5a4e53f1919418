// A clock on which time runs a thousand times faster than real time, timers included.
#pragma once

#include "base/clock.h"

namespace nb::test {

class FastClock final : public Clock {
 public:
  MonoTime now() const override { return MonoTime((real_.now() - start_) * 1000); }
  WallTime wall_now() const override { return real_.wall_now(); }
  Duration real_delay(Duration delay) const override { return delay / 1000; }

 private:
  SystemClock real_;
  MonoTime start_ = real_.now();
};

}  // namespace nb::test
