#include "client/link.h"

#include <unistd.h>

#include <cerrno>
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
  for (size_t i = 0; i < dead_count_; ++i) ::close(dead_[i]);
  if (fd_ >= 0) ::close(fd_);
  if (spare_ >= 0) ::close(spare_);
}

Link::Step Link::advance(int64_t now_ns) {
  if (dead_count_ == kDead) {
    ::close(dead_[--dead_count_]);
    return Step::busy;
  }
  if (spare_ < 0) {
    spare_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (spare_ >= 0) return Step::busy;
    error_ = errno;
    return Step::failed;
  }
  if (now_ns >= next_try_ns_) {
    next_try_ns_ = now_ns + pause_ns_;
    // It succeeds or fails at once: with a full backlog it fails (EAGAIN) and is tried again. A
    // socket whose connect failed can be used for the next try.
    if (::connect(spare_, reinterpret_cast<const sockaddr*>(&address_), sizeof address_) != 0) {
      error_ = errno;
      return Step::failed;
    }
    fd_ = spare_;
    spare_ = -1;
    state_ = State::up;
    return Step::connected;
  }
  if (dead_count_ > 0) {
    ::close(dead_[--dead_count_]);
    return Step::busy;
  }
  return Step::idle;
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
  dead_[dead_count_++] = fd_;
  fd_ = -1;
}

}  // namespace nb::client
