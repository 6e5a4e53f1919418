#include "agent/service_notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "base/foreign_text.h"
#include "base/text.h"

namespace nb::agent {
namespace {

// The text that `systemctl status` shows in one line.
constexpr size_t kMaxStatus = 400;

}  // namespace

ServiceNotify::ServiceNotify(std::string_view socket, Duration watchdog_interval)
    : watchdog_interval_(watchdog_interval) {
  if (socket.empty() || socket.size() >= sizeof(sockaddr_un::sun_path)) return;
  fd_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  address_ = socket;
}

void ServiceNotify::send(Kind kind, std::string_view message) {
  if (!fd_) return;
  waiting_[kind] = message;
  if (!flush() && on_waiting_) on_waiting_();
}

bool ServiceNotify::flush() {
  for (std::string& message : waiting_) {
    if (message.empty()) continue;
    if (!send_now(message)) return false;
    message.clear();
  }
  return true;
}

// False if the message has to be sent again.
bool ServiceNotify::send_now(std::string_view message) const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, address_.data(), address_.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  // An abstract name has exactly its length; a path may go without its NUL too (unix(7)).
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  const ssize_t sent = ::sendto(fd_.get(), message.data(), message.size(), MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&address), size);
  // If the manager does not listen, the message is dropped.
  return sent >= 0 || (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM && errno != EINTR);
}

void ServiceNotify::stopping() {
  waiting_[kReloading].clear();
  waiting_[kReady].clear();
  send(kStopping, "STOPPING=1");
}

void ServiceNotify::reloading(MonoTime now) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch());
  send(kReloading, format("RELOADING=1\nMONOTONIC_USEC=%lld", static_cast<long long>(us.count())));
}

void ServiceNotify::status(std::string_view words) {
  std::string line = foreign_text(words, kMaxStatus);
  if (line == last_status_) return;
  last_status_ = std::move(line);
  send(kStatus, "STATUS=" + last_status_);
}

}  // namespace nb::agent
