#include "probe/connect_check.h"

namespace nb::probe {

ConnectCheck::ConnectCheck(const CheckContext& context, const ProbeSpec& spec, OnOutcome on_outcome)
    : spec_(spec),
      on_outcome_(on_outcome),
      dialer_(context.loop,
              Delegate<void(uv::Dialer::Answer&)>::to<&ConnectCheck::on_dialled>(this)) {}

void ConnectCheck::start() {
  // The probe's own deadline, which began before, comes first.
  dialer_.start(spec_.target, spec_.timeout);
}

std::string ConnectCheck::give_up() {
  dialer_.cancel();
  return "no connection";
}

void ConnectCheck::on_dialled(uv::Dialer::Answer& answer) {
  on_outcome_({answer.ok(), answer.ok() ? describe(spec_.target) + " takes connections"
                                        : answer.error().message});
}

}  // namespace nb::probe
