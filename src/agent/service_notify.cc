#include "agent/service_notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

#include "base/text.h"

namespace nb::agent {

ServiceNotify::ServiceNotify(std::string_view socket, Duration watchdog_interval)
    : watchdog_interval_(watchdog_interval) {
  if (socket.empty() || socket.size() >= sizeof(sockaddr_un::sun_path)) return;
  fd_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  address_ = socket;
}

void ServiceNotify::send(std::string_view message) const {
  if (!fd_) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, address_.data(), address_.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  // An abstract name has exactly its length; a path may go without its NUL too (unix(7)).
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  // A manager that does not listen is no reason to do anything else.
  (void)::sendto(fd_.get(), message.data(), message.size(), MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address), size);
}

void ServiceNotify::reloading(MonoTime now) const {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch());
  send(format("RELOADING=1\nMONOTONIC_USEC=%lld", static_cast<long long>(us.count())));
}

void ServiceNotify::status(std::string_view words) {
  if (words == last_status_) return;
  last_status_ = words;
  send("STATUS=" + last_status_);
}

}  // namespace nb::agent
