#include "client/link.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

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
  for (const Socket* const one : {&dead_, &socket_, &spare_}) {
    if (one->fd >= 0) ::close(one->fd);
  }
}

void Link::abandon() {
  for (Socket* const one : {&dead_, &socket_, &spare_}) {
    struct stat now {};
    if (one->fd >= 0 && one->id != 0 && ::fstat(one->fd, &now) == 0 && S_ISSOCK(now.st_mode) &&
        now.st_ino == one->id) {
      ::close(one->fd);
    }
    *one = {};
  }
}

Link::Step Link::advance(int64_t now_ns) {
  if (dead_.fd >= 0) {
    ::close(dead_.fd);
    dead_ = {};
    return Step::busy;
  }
  if (now_ns < next_try_ns_) return Step::idle;
  if (spare_.fd < 0) {
    spare_.fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (spare_.fd >= 0) return Step::busy;
    return failed(now_ns);
  }
  if (spare_.id == 0) {
    struct stat status {};
    if (::fstat(spare_.fd, &status) != 0) return failed(now_ns);
    spare_.id = status.st_ino;
    return Step::busy;
  }
  // connect() of a Unix socket succeeds or fails at once. With a full backlog it fails (EAGAIN),
  // and is tried again with the same socket.
  if (::connect(spare_.fd, reinterpret_cast<const sockaddr*>(&address_), sizeof address_) != 0) {
    return failed(now_ns);
  }
  next_try_ns_ = now_ns + pause_ns_;
  socket_ = std::exchange(spare_, {});
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
    n = ::send(socket_.fd, pieces->iov_base, pieces->iov_len, kFlags);
  } else {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces);
    message.msg_iovlen = count;
    n = ::sendmsg(socket_.fd, &message, kFlags);
  }
  if (n >= 0) return n;
  if (is_for_now(errno)) return 0;
  error_ = errno;
  return -1;
}

ptrdiff_t Link::receive(char* buffer, size_t size) {
  const ssize_t n = ::recv(socket_.fd, buffer, size, MSG_DONTWAIT);
  if (n > 0) return n;
  if (n < 0 && is_for_now(errno)) return 0;
  error_ = n == 0 ? 0 : errno;
  return -1;
}

void Link::drop() {
  state_ = State::down;
  dead_ = std::exchange(socket_, {});
}

}  // namespace nb::client
