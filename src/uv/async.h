// Async: wakes the loop from another thread or from a signal handler.
#pragma once

#include "base/delegate.h"
#include "uv/handle.h"
#include "uv/loop.h"

namespace nb::uv {

class Async {
 public:
  Async(Loop& loop, Delegate<void()> on_wake);

  // False if the loop could not give it a wake-up descriptor.
  bool ok() const { return static_cast<bool>(handle_); }

  // From any thread, and async-signal-safe (uv_async_send is), while this object lives. Several
  // sends may become one call of on_wake.
  void send();

 private:
  static void on_async(uv_async_t* raw) noexcept;

  Delegate<void()> on_wake_;
  Handle<uv_async_t> handle_;
};

}  // namespace nb::uv
