#include "client/link.h"

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace nb::client {
namespace {

bool is_for_now(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR || error == ENOBUFS ||
         error == ENOMEM;
}

}  // namespace

Link::Link(std::string_view path, int64_t pause_ns) : pause_ns_(pause_ns) {
  address_.sun_family = AF_UNIX;
  std::memcpy(address_.sun_path, path.data(), path.size());
}

Link::~Link() {
  if (dead_ >= 0) ::close(dead_);
  if (fd_ >= 0) ::close(fd_);
  if (spare_ >= 0) ::close(spare_);
}

void Link::abandon() {
  for (int* const fd : {&dead_, &fd_, &spare_}) {
    int domain = 0;
    socklen_t size = sizeof domain;
    if (*fd >= 0 && ::getsockopt(*fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
        domain == AF_UNIX && (fd == &spare_ || leads_to_agent(*fd))) {
      ::close(*fd);
    }
    *fd = -1;
  }
}

bool Link::leads_to_agent(int fd) const {
  sockaddr_un peer{};
  socklen_t size = sizeof peer;
  // The folder only: the agent binds another name there, and renames the socket to its own.
  const char* const slash = std::strrchr(address_.sun_path, '/');
  const size_t folder = slash == nullptr ? 0 : slash + 1 - address_.sun_path;
  return ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 &&
         size > offsetof(sockaddr_un, sun_path) &&
         std::strncmp(peer.sun_path, address_.sun_path, folder) == 0;
}

Link::Step Link::advance(int64_t now_ns) {
  if (dead_ >= 0) {
    ::close(dead_);
    dead_ = -1;
    return Step::busy;
  }
  if (now_ns < next_try_ns_) return Step::idle;
  if (spare_ < 0) {
    spare_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (spare_ >= 0) return Step::busy;
    return failed(now_ns);
  }
  // connect() of a Unix socket succeeds or fails at once. With a full backlog it fails (EAGAIN),
  // and is tried again with the same socket.
  if (::connect(spare_, reinterpret_cast<const sockaddr*>(&address_), sizeof address_) != 0) {
    return failed(now_ns);
  }
  next_try_ns_ = now_ns + pause_ns_;
  fd_ = spare_;
  spare_ = -1;
  state_ = State::up;
  return Step::connected;
}

Link::Step Link::failed(int64_t now_ns) {
  error_ = errno;
  next_try_ns_ = now_ns + pause_ns_;
  return Step::failed;
}

ptrdiff_t Link::send(const iovec* pieces, size_t count) {
  constexpr int kFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
  ssize_t n = 0;
  if (count == 1) {
    n = ::send(fd_, pieces->iov_base, pieces->iov_len, kFlags);
  } else {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces);
    message.msg_iovlen = count;
    n = ::sendmsg(fd_, &message, kFlags);
  }
  if (n >= 0) return n;
  if (is_for_now(errno)) return 0;
  error_ = errno;
  return -1;
}

ptrdiff_t Link::receive(char* buffer, size_t size) {
  const ssize_t n = ::recv(fd_, buffer, size, MSG_DONTWAIT);
  if (n > 0) return n;
  if (n < 0 && is_for_now(errno)) return 0;
  error_ = n == 0 ? 0 : errno;
  return -1;
}

void Link::drop() {
  state_ = State::down;
  dead_ = fd_;
  fd_ = -1;
}

}  // namespace nb::client
