// Counts the system calls on sockets that the calling thread makes through libc: it stands before
// the functions that src/client uses. Include it in one source of a test program. Under a
// sanitizer, which stands there itself, nothing is counted.
#pragma once

#include "support/count_mallocs.h"

namespace nb::test {

constexpr bool kCountsSystemCalls = kCountsMallocs;

inline thread_local long system_calls = 0;

}  // namespace nb::test

#ifndef NB_MALLOC_SANITIZED
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// recv() and send() are the system's recvfrom and sendto with two zeros.
extern "C" {
ssize_t send(int fd, const void* data, size_t size, int flags) {
  ++nb::test::system_calls;
  return ::syscall(SYS_sendto, fd, data, size, flags, nullptr, 0);
}
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  ++nb::test::system_calls;
  return ::syscall(SYS_sendmsg, fd, message, flags);
}
ssize_t recv(int fd, void* data, size_t size, int flags) {
  ++nb::test::system_calls;
  return ::syscall(SYS_recvfrom, fd, data, size, flags, nullptr, nullptr);
}
int socket(int domain, int type, int protocol) noexcept {
  ++nb::test::system_calls;
  return static_cast<int>(::syscall(SYS_socket, domain, type, protocol));
}
int connect(int fd, const sockaddr* address, socklen_t size) {
  ++nb::test::system_calls;
  return static_cast<int>(::syscall(SYS_connect, fd, address, size));
}
int close(int fd) {
  ++nb::test::system_calls;
  return static_cast<int>(::syscall(SYS_close, fd));
}
}
#endif
