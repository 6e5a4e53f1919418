// Soon: calls back once before the loop next waits, if it was asked to: the place to do, once a
// turn, what many calls have gathered. Unlike a Prepare it may be asked from anywhere, a Prepare's
// callback included, and nothing is left lying. Does not keep the loop alive.
#pragma once

#include "base/delegate.h"
#include "uv/handle.h"
#include "uv/loop.h"

namespace nb::uv {

class Soon {
 public:
  Soon(Loop& loop, Delegate<void()> on_turn);

  void request();
  void cancel();

 private:
  static void on_idle(uv_idle_t* raw) noexcept;

  Delegate<void()> on_turn_;
  Handle<uv_idle_t> handle_;
};

}  // namespace nb::uv
