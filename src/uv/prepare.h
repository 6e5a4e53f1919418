// Prepare: while started, calls back each time before the loop waits. The output that a turn has
// gathered is written there. It does not keep the loop alive.
#pragma once

#include "base/delegate.h"
#include "uv/handle.h"
#include "uv/loop.h"

namespace nb::uv {

class Prepare {
 public:
  Prepare(Loop& loop, Delegate<void()> on_prepare);

  void start();
  void stop();

 private:
  static void on_turn(uv_prepare_t* raw) noexcept;

  Delegate<void()> on_prepare_;
  Handle<uv_prepare_t> handle_;
};

}  // namespace nb::uv
