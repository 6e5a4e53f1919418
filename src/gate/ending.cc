#include "gate/ending.h"

#include <signal.h>
#include <sys/signalfd.h>

namespace nb::gate {
namespace {

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

int open_signals() {
  const sigset_t set = ending_signals();
  return ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

}  // namespace

void hold_ending_signals() {
  const sigset_t set = ending_signals();
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

Ending::Ending(uv::Loop& loop, Delegate<void()> on_asked)
    : on_asked_(on_asked),
      fd_(open_signals()),
      poll_(loop, fd_.get(), Delegate<void(int)>::to<&Ending::on_readable>(this)) {
  if (fd_ && poll_.watch(UV_READABLE) != 0) fd_.reset();
}

void Ending::on_readable(int) {
  signalfd_siginfo info{};
  while (::read(fd_.get(), &info, sizeof info) > 0) {
  }
  on_asked_();
}

}  // namespace nb::gate
