#include "audit/ending.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

namespace nb::audit {
namespace {

void block(int how) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigprocmask(how, &set, nullptr);
}

void on_signal(int) {
  ::_exit(0);
}

}  // namespace

Ending::Ending() {
  struct sigaction action {};
  action.sa_handler = &on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  fd_ = UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  block(SIG_BLOCK);
}

bool Ending::is_asked() const {
  pollfd entry{fd_.get(), POLLIN, 0};
  return ::poll(&entry, 1, 0) > 0;
}

EndsAtOnce::EndsAtOnce() {
  block(SIG_UNBLOCK);
}

EndsAtOnce::~EndsAtOnce() {
  block(SIG_BLOCK);
}

}  // namespace nb::audit
