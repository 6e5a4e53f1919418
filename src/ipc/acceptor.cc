#include "ipc/acceptor.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace nb::ipc {
namespace {

// Connections taken in one turn: a thousand at once must not keep the others waiting.
constexpr int kMaxPerTurn = 16;
constexpr Duration kRetry = std::chrono::milliseconds(500);

UniqueFd open_spare() {
  return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

}  // namespace

Acceptor::Acceptor(uv::Loop& loop, const Log& log, OnConnection on_connection)
    : loop_(loop),
      log_(log),
      on_connection_(on_connection),
      retry_(loop, Delegate<void()>::to<&Acceptor::on_retry>(this)) {}

int Acceptor::start(int fd) {
  fd_ = fd;
  spare_ = open_spare();
  poll_ = std::make_unique<uv::Poll>(loop_, fd, Delegate<void(int)>::to<&Acceptor::on_ready>(this));
  return poll_->watch(UV_READABLE);
}

void Acceptor::stop() {
  poll_.reset();
  retry_.stop();
  spare_.reset();
  fd_ = -1;
}

void Acceptor::on_ready(int) {
  // A callback may stop() it.
  for (int i = 0; i < kMaxPerTurn && fd_ >= 0; ++i) {
    if (!accept_one()) return;
  }
}

bool Acceptor::accept_one() {
  UniqueFd fd(::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd) {
    if (!spare_) spare_ = open_spare();
    if (spare_) short_said_ = false;
    on_connection_(fd, 0);
    return true;
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
  if (errno == EINTR || errno == ECONNABORTED) return true;
  if (errno == EMFILE || errno == ENFILE) return accept_with_spare();
  rest(errno);
  return false;
}

bool Acceptor::accept_with_spare() {
  const int cause = errno;
  if (!short_said_) {
    log_.error("no descriptors left: clients of the socket are turned away (%s)",
               std::strerror(cause));
  }
  short_said_ = true;
  if (!spare_) spare_ = open_spare();
  if (!spare_) {
    rest(cause);
    return false;
  }
  spare_.reset();
  UniqueFd fd(::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd) {
    on_connection_(fd, cause);
    fd.reset();
    if (fd_ >= 0) spare_ = open_spare();
    return true;
  }
  const int error = errno;
  spare_ = open_spare();
  if (error == EAGAIN) return false;
  rest(error);
  return false;
}

// The socket stays readable, so watching it on would spin.
void Acceptor::rest(int error) {
  log_.debug("accept: %s", std::strerror(error));
  poll_->watch(0);
  retry_.start(kRetry);
}

void Acceptor::on_retry() {
  poll_->watch(UV_READABLE);
}

}  // namespace nb::ipc
