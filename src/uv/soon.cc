#include "uv/soon.h"

namespace nb::uv {

// An idle handle: while one is active the loop does not wait, and its callback comes once a turn.
Soon::Soon(Loop& loop, Delegate<void()> on_turn) : on_turn_(on_turn) {
  handle_.init(this, [&](uv_idle_t* raw) { return uv_idle_init(loop.raw(), raw); });
  uv_unref(handle_.as<uv_handle_t>());
}

void Soon::request() {
  uv_idle_start(handle_.get(), &Soon::on_idle);
}

void Soon::cancel() {
  uv_idle_stop(handle_.get());
}

void Soon::on_idle(uv_idle_t* raw) noexcept {
  auto* self = owner_of<Soon>(raw);
  if (self == nullptr) return;
  uv_idle_stop(raw);
  self->on_turn_();
}

}  // namespace nb::uv
