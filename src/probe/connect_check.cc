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

Outcome ConnectCheck::give_up(const std::string& limit) {
  const Outcome outcome = dialer_.resolving()
                              ? not_looked_up(spec_.target, limit)
                              : Outcome{Finding::down, "no connection within " + limit};
  dialer_.cancel();
  return outcome;
}

void ConnectCheck::on_dialled(uv::Dialer::Answer& answer) {
  if (!answer) return on_outcome_(failed(answer.error()));
  on_outcome_({Finding::up, describe(spec_.target) + " takes connections"});
}

}  // namespace nb::probe
