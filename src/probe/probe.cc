#include "probe/probe.h"

#include <chrono>
#include <utility>

#include "base/text.h"

namespace nb::probe {
namespace {

// A timer that expires this much too late shows that the agent itself was held up.
constexpr Duration kHeldUp = std::chrono::milliseconds(100);

}  // namespace

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
    if (trying_) return;  // it was given more time
  }
  trying_ = true;
  had_more_time_ = false;
  started_ = loop_.now();
  deadline_.start(spec_.timeout);
  check_->start();
}

void Probe::on_deadline() {
  // The agent itself was held up (the machine slept, or was overloaded). The answer may have come
  // and not been read, or the question was not sent yet. So the try gets its time once more.
  if (loop_.now() - deadline_.due() > kHeldUp && !std::exchange(had_more_time_, true)) {
    return deadline_.start(spec_.timeout);
  }
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
