// ConnectCheck: a TCP port or a Unix socket takes a connection, which is closed at once.
#pragma once

#include "probe/check.h"
#include "uv/dialer.h"

namespace nb::probe {

class ConnectCheck final : public Check {
 public:
  ConnectCheck(const CheckContext& context, const ProbeSpec& spec, OnOutcome on_outcome);

  void start() override;
  Outcome give_up(const std::string& limit) override;

 private:
  void on_dialled(uv::Dialer::Answer& answer);

  const ProbeSpec& spec_;
  OnOutcome on_outcome_;
  uv::Dialer dialer_;
};

}  // namespace nb::probe
