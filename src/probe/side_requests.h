// SideRequests: HTTP requests whose answers are not waited for, such as the begin and the end of a
// session. They outlive the probe that sends them, so that a probe that is removed still ends its
// session; they are given up after a while, and with this object.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/delegate.h"
#include "probe/http_exchange.h"
#include "uv/timer.h"

namespace nb::probe {

class SideRequests {
 public:
  // A request is given up after this time: a healthy server answers at once.
  static constexpr Duration kPatience = std::chrono::milliseconds(500);

  explicit SideRequests(uv::Loop& loop);
  SideRequests(const SideRequests&) = delete;
  SideRequests& operator=(const SideRequests&) = delete;
  ~SideRequests();

  // Sends `request`, whole.
  void send(const uv::Target& target, const std::string& request);
  // None is under way.
  bool idle() const { return under_way_.empty(); }
  // Called once, when none is under way any more: at once if that is so now.
  void when_idle(Delegate<void()> on_idle);

 private:
  class One;
  void remove(const One* one);

  uv::Loop& loop_;
  std::vector<std::unique_ptr<One>> under_way_;
  Delegate<void()> on_idle_;
};

}  // namespace nb::probe
