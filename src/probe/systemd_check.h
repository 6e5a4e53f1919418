// SystemdCheck: a systemd unit is active.
#pragma once

#include "probe/check.h"
#include "probe/system_bus.h"

namespace nb::probe {

class SystemdCheck final : public Check {
 public:
  SystemdCheck(const CheckContext& context, const ProbeSpec& spec, OnOutcome on_outcome);

  void start() override;
  Outcome give_up(const std::string& limit) override;

 private:
  void on_active_state(const Result<std::string>& state);
  void on_load_state(const Result<std::string>& state);

  OnOutcome on_outcome_;
  std::string unit_;
  SystemBus::Query active_state_;
  SystemBus::Query load_state_;
};

}  // namespace nb::probe
