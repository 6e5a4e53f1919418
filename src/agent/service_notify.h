// ServiceNotify: reports the agent's state to the service manager: one datagram a message
// (sd_notify(3)). Our own 80 lines instead of libsystemd, which brings compression libraries along.
//
// A message for which the manager's queue has no room waits, the latest of each kind, until flush()
// is called when there may be room. Only status() takes foreign text, and makes one line of it: a
// line feed in a datagram would begin another assignment.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/delegate.h"
#include "base/unique_fd.h"

namespace nb::agent {

class ServiceNotify {
 public:
  ServiceNotify() = default;  // no service manager
  // `socket` is NOTIFY_SOCKET: a path, or an abstract name after '@'. `watchdog_interval` is
  // WATCHDOG_USEC, or zero.
  ServiceNotify(std::string_view socket, Duration watchdog_interval);

  // `on_waiting` is called when a message could not be sent: call flush() a little later.
  void set_on_waiting(Delegate<void()> on_waiting) { on_waiting_ = on_waiting; }

  void ready() { send(kReady, "READY=1"); }
  void stopping();
  // With the stamp systemd distinguishes this reload from an earlier one (Type=notify-reload).
  void reloading(MonoTime now);
  // Sends nothing if the status is the same as before. `words` may come from anywhere.
  void status(std::string_view words);
  void watchdog() { send(kWatchdog, "WATCHDOG=1"); }

  // Sends the waiting messages. False: the queue is still full.
  bool flush();

  // How often watchdog() is to be called: half of what the manager allows. Zero: never.
  Duration watchdog_period() const { return watchdog_interval_ / 2; }

 private:
  // In the order in which they go out: a reload has to be reported before its end.
  enum Kind { kReloading, kReady, kStopping, kStatus, kWatchdog, kKinds };

  void send(Kind kind, std::string_view message);
  bool send_now(std::string_view message) const;

  UniqueFd fd_;
  std::string address_;
  Duration watchdog_interval_{};
  std::string last_status_;
  std::array<std::string, kKinds> waiting_;  // empty: nothing of the kind waits
  Delegate<void()> on_waiting_;
};

}  // namespace nb::agent
