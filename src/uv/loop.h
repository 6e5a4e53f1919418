// Loop: one libuv event loop and the clock that its timers follow. Everything in the agent runs on
// the thread that calls run(); only Async::send may be called from elsewhere.
#pragma once

#include <uv.h>

#include <memory>
#include <string_view>

#include "base/clock.h"

namespace nb::uv {

class Loop {
 public:
  // `clock` must outlive the loop.
  explicit Loop(const Clock& clock);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  // Closes; in a debug build asserts that nothing was left open.
  ~Loop();

  // False if the kernel refused an epoll descriptor (no descriptors left): use nothing else then.
  bool ok() const { return ok_; }

  // Runs until stop() or until no active handle is left.
  void run();
  // One turn: waits for at least one event if `wait`.
  void run_once(bool wait = true);
  // Ends run() after this turn. Only on the loop's thread.
  void stop();

  // Runs until all handles that were dropped are closed, then closes the loop. 0, or UV_EBUSY if
  // a handle still has an owner: a bug.
  int close();

  const Clock& clock() const { return clock_; }
  MonoTime now() const { return clock_.now(); }
  uv_loop_t* raw() { return &raw_; }

  // One buffer for all reads of this loop, since a read's bytes are used up within its callback.
  // 64 KiB, of which only the touched pages cost memory.
  uv_buf_t read_buffer();

 private:
  static constexpr size_t kReadBufferSize = 64 * 1024;

  const Clock& clock_;
  uv_loop_t raw_{};
  bool ok_ = false;
  std::unique_ptr<char[]> read_buffer_;
};

// libuv's sentence for an error code, without its thread-unsafe buffers.
std::string_view error_text(int uv_error);

}  // namespace nb::uv
