#include "uv/poll.h"

namespace nb::uv {

Poll::Poll(Loop& loop, int fd, Delegate<void(int)> on_ready) : on_ready_(on_ready) {
  init_error_ =
      handle_.init(this, [&](uv_poll_t* raw) { return uv_poll_init(loop.raw(), raw, fd); });
}

int Poll::watch(int events) {
  if (!handle_) return init_error_;
  if (events == watched_) return 0;
  const int rc = events == 0 ? uv_poll_stop(handle_.get())
                             : uv_poll_start(handle_.get(), events, &Poll::on_poll);
  watched_ = rc == 0 ? events : 0;
  return rc;
}

void Poll::on_poll(uv_poll_t* raw, int status, int events) noexcept {
  auto* self = owner_of<Poll>(raw);
  if (self == nullptr) return;
  if (status < 0) {
    // libuv stops watching a descriptor with a pending error; the next read returns the error.
    events = self->watched_;
    self->watched_ = 0;
  }
  self->on_ready_(events);
}

}  // namespace nb::uv
