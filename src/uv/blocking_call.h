// BlockingCall: runs a call that may never return (getaddrinfo, statvfs on a dead NFS mount) on a
// thread of its own and tells the loop when it is done.
//
// libuv's thread pool cannot do this: a running uv_getaddrinfo cannot be cancelled and keeps the
// loop from closing, a hung call takes one of four threads that all loops of the process share, and
// the threads stay for ever. Here the thread ends with the call, and the owner may abandon it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "base/delegate.h"
#include "base/result.h"
#include "uv/handle.h"
#include "uv/loop.h"

namespace nb::uv {

class BlockingCall {
 public:
  BlockingCall(Loop& loop, Delegate<void()> on_done);
  BlockingCall(const BlockingCall&) = delete;
  BlockingCall& operator=(const BlockingCall&) = delete;
  ~BlockingCall();  // abandons

  static constexpr size_t kStackBytes = 256 * 1024;

  // Starts `work` on a new thread with that stack and all signals blocked. `work` must own
  // (share) everything it touches, since this object may be gone before it ends. The
  // error if the system has no thread to give is Fault::blind. Only when not running().
  Status start(std::function<void()> work, size_t stack_bytes = kStackBytes);

  // Abandons a call that is still running: on_done will not come. The thread ends when the call
  // returns, and frees its data. A new call may be started.
  void abandon();

  bool running() const { return shared_ != nullptr; }

 private:
  struct Shared;
  static void* run(void* argument);
  static void on_async(uv_async_t* raw) noexcept;

  Loop& loop_;
  Delegate<void()> on_done_;
  std::shared_ptr<Shared> shared_;
  Handle<uv_async_t> async_;
};

}  // namespace nb::uv
