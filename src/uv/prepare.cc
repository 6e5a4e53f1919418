#include "uv/prepare.h"

namespace nb::uv {

Prepare::Prepare(Loop& loop, Delegate<void()> on_prepare) : on_prepare_(on_prepare) {
  handle_.init(this, [&](uv_prepare_t* raw) { return uv_prepare_init(loop.raw(), raw); });
  uv_unref(handle_.as<uv_handle_t>());
}

void Prepare::start() {
  uv_prepare_start(handle_.get(), &Prepare::on_turn);
}

void Prepare::stop() {
  uv_prepare_stop(handle_.get());
}

void Prepare::on_turn(uv_prepare_t* raw) noexcept {
  if (auto* self = owner_of<Prepare>(raw)) self->on_prepare_();
}

}  // namespace nb::uv
