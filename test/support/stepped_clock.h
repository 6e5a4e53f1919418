// Real time, and what a test adds to it.
#pragma once

#include "base/clock.h"

namespace nb::test {

class SteppedClock final : public Clock {
 public:
  MonoTime now() const override { return real_.now() + ahead; }
  WallTime wall_now() const override { return real_.wall_now(); }
  Duration ahead{};

 private:
  SystemClock real_;
};

}  // namespace nb::test
