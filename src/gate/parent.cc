#include "gate/parent.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace nb::gate {
namespace {

int open_process(int pid) {
#ifdef SYS_pidfd_open
  return pid > 0 ? static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)) : -1;
#else
  (void)pid;
  return -1;
#endif
}

}  // namespace

Parent::Parent(uv::Loop& loop, int parent, Delegate<void()> on_gone)
    : on_gone_(on_gone),
      fd_(open_process(parent)),
      // After the descriptor was opened: so it belongs to the parent, and to no later process with
      // its pid.
      is_gone_(::getppid() != parent),
      poll_(loop, fd_.get(), Delegate<void(int)>::to<&Parent::on_readable>(this)) {
  if (fd_) (void)poll_.watch(UV_READABLE);
}

}  // namespace nb::gate
