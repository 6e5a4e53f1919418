// Parent: notices the end of the process that has started this one.
#pragma once

#include "base/delegate.h"
#include "base/unique_fd.h"
#include "uv/loop.h"
#include "uv/poll.h"

namespace nb::gate {

// Where the kernel does not report it (before Linux 5.3, or a parent in another pid namespace), it
// is not noticed. PR_SET_PDEATHSIG reports the end of the thread that has started us, which many
// programs end soon.
class Parent {
 public:
  // `parent` is getppid() as early as possible.
  Parent(uv::Loop& loop, int parent, Delegate<void()> on_gone);

  // It was gone before this object was made.
  bool is_gone() const { return is_gone_; }

 private:
  void on_readable(int) { on_gone_(); }

  Delegate<void()> on_gone_;
  UniqueFd fd_;
  bool is_gone_;
  uv::Poll poll_;
};

}  // namespace nb::gate
