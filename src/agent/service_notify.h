// ServiceNotify: tells the service manager how the agent is: one datagram a message (sd_notify(3)).
// Our own 40 lines instead of libsystemd, which brings compression libraries along.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace nb::agent {

class ServiceNotify {
 public:
  ServiceNotify() = default;  // nobody to tell
  // `socket` is NOTIFY_SOCKET: a path, or an abstract name after '@'. `watchdog_interval` is
  // WATCHDOG_USEC, or zero.
  ServiceNotify(std::string_view socket, Duration watchdog_interval);

  void ready() const { send("READY=1"); }
  void stopping() const { send("STOPPING=1"); }
  // The stamp lets systemd tell this reload from an earlier one (Type=notify-reload).
  void reloading(MonoTime now) const;
  // Sends only what differs from the last.
  void status(std::string_view words);
  void watchdog() const { send("WATCHDOG=1"); }

  // How often watchdog() is to be called: half of what the manager allows. Zero: never.
  Duration watchdog_period() const { return watchdog_interval_ / 2; }

 private:
  void send(std::string_view message) const;

  UniqueFd fd_;
  std::string address_;
  Duration watchdog_interval_{};
  std::string last_status_;
};

}  // namespace nb::agent
