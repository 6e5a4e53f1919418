// Lingering: connections that have ended and are not closed yet. The agent sends what waits for the
// client, ends its sending, and discards what still comes until the client closes or the time is
// over. If the agent closed at once, the client's next write would fail before the client has read
// why.
#pragma once

#include <memory>
#include <vector>

#include "ipc/session.h"
#include "uv/loop.h"
#include "uv/timer.h"

namespace nb::ipc {

class Lingering final : private SessionOwner {
 public:
  // Beyond this number the oldest connection is closed at once, so that a thousand clients that are
  // turned away do not use up the descriptors of those that are served.
  static constexpr size_t kMost = 32;

  explicit Lingering(uv::Loop& loop);

  // Takes a session that is draining, explaining or over.
  void add(std::unique_ptr<Session> session);
  // Sends what the kernel accepts, and closes all.
  void clear();

 private:
  void on_ready(Session& session, int events) override;
  bool go_on(Session& session);
  void on_deadline();

  uv::Loop& loop_;
  uv::Timer deadline_;
  std::vector<std::unique_ptr<Session>> sessions_;  // by deadline, the earliest first
};

}  // namespace nb::ipc
