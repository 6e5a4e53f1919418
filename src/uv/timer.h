// Timer: calls back once after a delay on the loop's clock.
//
// A timer that is much too late, because the process was stopped or the loop was busy, lets the
// loop read its sockets first: the answer that a timeout guards may have come in time and not been
// read yet.
#pragma once

#include <cstdint>

#include "base/delegate.h"
#include "uv/handle.h"
#include "uv/loop.h"

namespace nb::uv {

class Timer {
 public:
  Timer(Loop& loop, Delegate<void()> on_expired);

  // (Re)starts; a timer that was already running is moved. Rounded up to a millisecond, libuv's
  // resolution. A negative delay is 0.
  void start(Duration delay);
  void stop();
  bool active() const;
  // When the timer expires. Inside the callback, now() minus due() is the loop's lag.
  MonoTime due() const { return due_; }

 private:
  static void on_timeout(uv_timer_t* raw) noexcept;

  Loop& loop_;
  Delegate<void()> on_expired_;
  MonoTime due_{};
  uint64_t due_tick_ = 0;  // the same on libuv's clock
  uint8_t turns_left_ = 0;
  Handle<uv_timer_t> handle_;
};

}  // namespace nb::uv
