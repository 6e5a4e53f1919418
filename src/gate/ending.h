// Ending: SIGTERM and SIGINT as an event of the loop.
#pragma once

#include "base/delegate.h"
#include "base/unique_fd.h"
#include "uv/loop.h"
#include "uv/poll.h"

namespace nb::gate {

// Blocks both for the whole process: before there is any thread or loop.
void hold_ending_signals();

class Ending {
 public:
  // After hold_ending_signals().
  Ending(uv::Loop& loop, Delegate<void()> on_asked);

  // False if the system gave no descriptor.
  bool ok() const { return static_cast<bool>(fd_); }

 private:
  void on_readable(int events);

  Delegate<void()> on_asked_;
  UniqueFd fd_;
  uv::Poll poll_;
};

}  // namespace nb::gate
