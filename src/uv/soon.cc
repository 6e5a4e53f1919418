#include "uv/soon.h"

namespace nb::uv {

Soon::Soon(Loop& loop, Delegate<void()> on_turn, Place place) : on_turn_(on_turn) {
  idle_.init(this, [&](uv_idle_t* raw) { return uv_idle_init(loop.raw(), raw); });
  uv_unref(idle_.as<uv_handle_t>());
  if (place != Place::last) return;
  prepare_.init(this, [&](uv_prepare_t* raw) { return uv_prepare_init(loop.raw(), raw); });
  uv_unref(prepare_.as<uv_handle_t>());
}

void Soon::request() {
  uv_idle_start(idle_.get(), &Soon::on_idle);
  if (prepare_) uv_prepare_start(prepare_.get(), &Soon::on_prepare);
}

void Soon::cancel() {
  uv_idle_stop(idle_.get());
  if (prepare_) uv_prepare_stop(prepare_.get());
}

void Soon::on_idle(uv_idle_t* raw) noexcept {
  auto* self = owner_of<Soon>(raw);
  if (self != nullptr && !self->prepare_) self->call();
}

void Soon::on_prepare(uv_prepare_t* raw) noexcept {
  if (auto* self = owner_of<Soon>(raw)) self->call();
}

void Soon::call() {
  cancel();
  on_turn_();
}

}  // namespace nb::uv
