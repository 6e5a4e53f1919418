// A loop for tests: runs until a condition holds or a deadline passes, and fails the test if
// anything is left open at the end.
#pragma once

#include <gtest/gtest.h>

#include <functional>

#include "uv/loop.h"
#include "uv/timer.h"

namespace nb::test {

class TestLoop {
 public:
  explicit TestLoop(const Clock& clock = system_clock()) : loop_(clock) {}
  ~TestLoop() { EXPECT_EQ(loop_.close(), 0) << "a handle outlived its test"; }

  operator uv::Loop&() { return loop_; }
  uv::Loop& loop() { return loop_; }

  // True once `condition` holds; false after `limit` of real time. Asked after each turn.
  bool run_until(const std::function<bool()>& condition,
                 std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    const SystemClock real;
    const MonoTime end = real.now() + limit;
    // An own short timer bounds each wait of the loop, so that the condition is looked at even
    // if nothing happens.
    Pulse pulse(loop_);
    while (!condition()) {
      if (real.now() > end) return false;
      loop_.run_once();
    }
    return true;
  }

 private:
  class Pulse {
   public:
    explicit Pulse(uv::Loop& loop) {
      handle_.init(this, [&](uv_timer_t* raw) { return uv_timer_init(loop.raw(), raw); });
      uv_timer_start(
          handle_.get(), [](uv_timer_t*) {}, 1, 1);
    }

   private:
    uv::Handle<uv_timer_t> handle_;
  };

  static const Clock& system_clock() {
    static const SystemClock clock;
    return clock;
  }

  uv::Loop loop_;
};

}  // namespace nb::test
