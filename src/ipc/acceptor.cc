#include "ipc/acceptor.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace nb::ipc {
namespace {

// A turn lets in so many connections, and takes so long for those that it has to turn away. A
// thousand connections at once must not keep the clients waiting. But a newcomer must not wait long
// behind a thousand connections that are dead already.
constexpr int kMostLetIn = 16;
constexpr Duration kTurn = std::chrono::microseconds(250);
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
  const MonoTime end = loop_.now() + kTurn;
  int let_in = 0;
  // A callback may stop() it.
  while (fd_ >= 0 && let_in < kMostLetIn && loop_.now() < end) {
    const Step step = accept_one();
    if (step == Step::none) return;
    let_in += step == Step::let_in;
  }
}

Acceptor::Step Acceptor::accept_one() {
  UniqueFd fd(::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd) {
    if (!spare_) spare_ = open_spare();
    if (spare_) short_said_ = false;
    return on_connection_(fd, 0) ? Step::let_in : Step::turned_away;
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK) return Step::none;
  if (errno == EINTR || errno == ECONNABORTED) return Step::turned_away;
  if (errno == EMFILE || errno == ENFILE) return accept_with_spare();
  rest(errno);
  return Step::none;
}

Acceptor::Step Acceptor::accept_with_spare() {
  const int cause = errno;
  if (!short_said_) {
    log_.error("no descriptors left: clients of the socket are turned away (%s)",
               std::strerror(cause));
  }
  short_said_ = true;
  if (!spare_) spare_ = open_spare();
  if (!spare_) {
    rest(cause);
    return Step::none;
  }
  spare_.reset();
  UniqueFd fd(::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd) {
    on_connection_(fd, cause);
    fd.reset();
    if (fd_ >= 0) spare_ = open_spare();
    return Step::turned_away;
  }
  const int error = errno;
  spare_ = open_spare();
  if (error != EAGAIN) rest(error);
  return Step::none;
}

// The socket stays readable: the loop would spin if it went on watching the socket.
void Acceptor::rest(int error) {
  log_.debug("accept: %s", std::strerror(error));
  poll_->watch(0);
  retry_.start(kRetry);
}

void Acceptor::on_retry() {
  poll_->watch(UV_READABLE);
}

}  // namespace nb::ipc
