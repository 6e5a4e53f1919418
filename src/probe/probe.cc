#include "probe/probe.h"

#include <chrono>

#include "base/text.h"

namespace nb::probe {

Probe::Probe(const CheckContext& context, ProbeSpec spec, Delegate<void(const Probe&)> on_change)
    : loop_(context.loop),
      spec_(std::move(spec)),
      on_change_(on_change),
      hysteresis_(spec_.up_after, spec_.down_after),
      deadline_(context.loop, Delegate<void()>::to<&Probe::on_deadline>(this)),
      check_(make_check(context, spec_, OnOutcome::to<&Probe::on_outcome>(this))) {
  report_.name = spec_.name;
  report_.type = type_name(spec_.type);
  if (spec_.target.port != 0) report_.port = spec_.target.port;
}

void Probe::start_try() {
  if (trying_) {
    if (deadline_.due() - loop_.now() > spec_.timeout / 8) return;
    on_deadline();
  }
  trying_ = true;
  started_ = loop_.now();
  deadline_.start(spec_.timeout);
  check_->start();
}

void Probe::on_deadline() {
  const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(spec_.timeout);
  on_outcome({false, check_->give_up() + " within " + human_duration(limit.count())});
}

void Probe::on_outcome(const Outcome& outcome) {
  trying_ = false;
  deadline_.stop();
  if (outcome.up) {
    report_.latency_ms = std::chrono::duration<double, std::milli>(loop_.now() - started_).count();
  }
  const bool changed = hysteresis_.add(outcome.up);
  report_.up = hysteresis_.verdict();
  if (report_.up.value_or(outcome.up) == outcome.up) report_.detail = outcome.detail;
  if (changed) on_change_(*this);
}

}  // namespace nb::probe
