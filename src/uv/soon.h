// Soon: calls back once before the loop next waits, after request(). Work that many calls of a turn
// have gathered is done there. It may also be requested from the callback of a uv_prepare_t, such
// as a host's: nothing is left until the next wake-up. It does not keep the loop alive.
#pragma once

#include <cstdint>

#include "base/delegate.h"
#include "uv/handle.h"
#include "uv/loop.h"

namespace nb::uv {

class Soon {
 public:
  // `last` is called behind all others, in the same turn, so it also sends their work.
  enum class Place : uint8_t { among_others, last };

  Soon(Loop& loop, Delegate<void()> on_turn, Place place = Place::among_others);

  void request();
  void cancel();

 private:
  static void on_idle(uv_idle_t* raw) noexcept;
  static void on_prepare(uv_prepare_t* raw) noexcept;
  void call();

  Delegate<void()> on_turn_;
  Handle<uv_idle_t> idle_;        // while it is active the loop does not wait
  Handle<uv_prepare_t> prepare_;  // of the last ones: libuv calls it behind all idle handles
};

}  // namespace nb::uv
