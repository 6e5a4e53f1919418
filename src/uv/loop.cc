#include "uv/loop.h"

#include <cassert>

namespace nb::uv {

Loop::Loop(const Clock& clock) : clock_(clock), ok_(uv_loop_init(&raw_) == 0) {}

Loop::~Loop() {
  [[maybe_unused]] const int rc = close();
  assert(rc == 0 && "a libuv handle outlived its loop");
}

void Loop::run() {
  uv_run(&raw_, UV_RUN_DEFAULT);
}

void Loop::run_once(bool wait) {
  uv_run(&raw_, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
}

void Loop::stop() {
  uv_stop(&raw_);
}

int Loop::close() {
  if (!ok_) return 0;
  // Each turn runs the close callbacks of the handles that were dropped. A callback may drop more.
  while (uv_loop_alive(&raw_)) {
    if (uv_run(&raw_, UV_RUN_NOWAIT) != 0 && raw_.closing_handles == nullptr) break;
  }
  const int rc = uv_loop_close(&raw_);
  if (rc == 0) ok_ = false;
  return rc;
}

uv_buf_t Loop::read_buffer() {
  // Not value-initialised: zeroing it would touch all of its pages.
  if (!read_buffer_) read_buffer_.reset(new char[kReadBufferSize]);
  return uv_buf_init(read_buffer_.get(), kReadBufferSize);
}

std::string_view error_text(int uv_error) {
  return uv_strerror(uv_error);
}

}  // namespace nb::uv
