// Acceptor: takes connections from a listening socket. When descriptors have run out, the acceptor
// gives up a spare descriptor for a moment: so the client gets an error instead of waiting, and the
// loop does not spin on a socket that stays readable. (libuv's own accept closes such connections
// without a word.)
#pragma once

#include <cstdint>
#include <memory>

#include "base/delegate.h"
#include "base/log.h"
#include "base/unique_fd.h"
#include "uv/loop.h"
#include "uv/poll.h"
#include "uv/timer.h"

namespace nb::ipc {

class Acceptor {
 public:
  // The callee takes the descriptor. `shortage` is 0, or it is EMFILE or ENFILE: then this is the
  // last descriptor there is, and the callee has to close it before it returns. `log` must outlive
  // the acceptor. Returns whether the connection was let in.
  using OnConnection = Delegate<bool(UniqueFd&, int shortage)>;

  Acceptor(uv::Loop& loop, const Log& log, OnConnection on_connection);

  // `fd` stays the caller's, and open until stop(). 0, or a libuv error.
  int start(int fd);
  void stop();

 private:
  void on_ready(int events);
  void on_retry();
  enum class Step : uint8_t { none, let_in, turned_away };
  Step accept_one();
  Step accept_with_spare();
  void rest(int error);

  uv::Loop& loop_;
  const Log& log_;
  OnConnection on_connection_;
  int fd_ = -1;
  UniqueFd spare_;
  bool short_said_ = false;
  std::unique_ptr<uv::Poll> poll_;
  uv::Timer retry_;
};

}  // namespace nb::ipc
