// Prepare: calls back before each time the loop goes to wait, while started: the place to write
// out what the turn has gathered. Does not keep the loop alive.
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
