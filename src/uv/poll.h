// Poll: says when a descriptor can be read or written, for sockets whose system calls are made
// here rather than by libuv.
#pragma once

#include "base/delegate.h"
#include "uv/handle.h"
#include "uv/loop.h"

namespace nb::uv {

class Poll {
 public:
  // The descriptor becomes non-blocking. It stays the caller's: the caller closes it after this
  // object has gone. The callback may destroy the poll.
  Poll(Loop& loop, int fd, Delegate<void(int)> on_ready);

  // `events`: UV_READABLE, UV_WRITABLE and UV_DISCONNECT, or 0 to watch for nothing. Returns 0 or a
  // libuv error. A call that changes nothing costs nothing.
  int watch(int events);

 private:
  static void on_poll(uv_poll_t* raw, int status, int events) noexcept;

  Delegate<void(int)> on_ready_;
  int watched_ = 0;
  int init_error_ = 0;
  Handle<uv_poll_t> handle_;
};

}  // namespace nb::uv
