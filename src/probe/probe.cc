#include "probe/probe.h"

#include <chrono>
#include <utility>

#include "base/text.h"

namespace nb::probe {

Probe::Probe(const CheckContext& context, ProbeSpec spec, OnChange on_change)
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
  on_outcome(check_->give_up(human_duration(limit.count())));
}

void Probe::on_outcome(const Outcome& outcome) {
  trying_ = false;
  deadline_.stop();
  report_.latency_ms.reset();
  if (outcome.finding == Finding::unknown) {
    report_.up.reset();
    report_.detail = outcome.detail;
    if (!std::exchange(unknown_, true)) on_change_(*this, Change::lost);
    return;
  }
  const bool up = outcome.finding == Finding::up;
  if (up) {
    report_.latency_ms = std::chrono::duration<double, std::milli>(loop_.now() - started_).count();
  }
  const bool changed = hysteresis_.add(up);
  report_.up = report_.last_known = hysteresis_.verdict();
  if (report_.up.value_or(up) == up) reason_ = outcome.detail;
  report_.detail = reason_;
  const bool was_unknown = std::exchange(unknown_, false);
  if (changed) {
    on_change_(*this, Change::verdict);
  } else if (was_unknown && report_.up) {
    on_change_(*this, Change::regained);
  }
}

}  // namespace nb::probe
