// Soon: calls back once before the loop next waits, after request(). Work that many calls of a turn
// have gathered is done there. It may also be requested from the callback of a uv_prepare_t, such
// as a host's: nothing is left until the next wake-up. It does not keep the loop alive.
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
