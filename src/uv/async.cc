#include "uv/async.h"

namespace nb::uv {

Async::Async(Loop& loop, Delegate<void()> on_wake) : on_wake_(on_wake) {
  handle_.init(this,
               [&](uv_async_t* raw) { return uv_async_init(loop.raw(), raw, &Async::on_async); });
}

void Async::send() {
  if (handle_) uv_async_send(handle_.get());
}

void Async::on_async(uv_async_t* raw) noexcept {
  if (auto* self = owner_of<Async>(raw)) self->on_wake_();
}

}  // namespace nb::uv
