#include "probe/probe_set.h"

#include <algorithm>

namespace nb::probe {
namespace {

MonoTime next_on_grid(MonoTime now, Duration interval) {
  interval = std::max<Duration>(interval, std::chrono::milliseconds(1));
  return MonoTime((now.time_since_epoch() / interval + 1) * interval);
}

}  // namespace

ProbeSet::ProbeSet(uv::Loop& loop, const Log& log, Options options,
                   Delegate<void(const wire::ProbeReport&)> on_change)
    : loop_(loop),
      log_(log),
      on_change_(on_change),
      bus_(loop, std::move(options.system_bus)),
      side_requests_(loop),
      context_{loop, bus_, side_requests_, std::move(options.proc_root),
               std::move(options.version)},
      timer_(loop, Delegate<void()>::to<&ProbeSet::on_due>(this)) {}

void ProbeSet::set(std::vector<ProbeSpec> specs) {
  std::vector<Entry> before = std::move(entries_);
  entries_.clear();
  const MonoTime now = loop_.now();
  for (ProbeSpec& spec : specs) {
    const auto same = std::find_if(before.begin(), before.end(), [&](const Entry& entry) {
      return entry.probe != nullptr && entry.probe->spec() == spec;
    });
    if (same != before.end()) {
      entries_.push_back(std::move(*same));
    } else {
      entries_.push_back({std::make_unique<Probe>(context_, std::move(spec),
                                                  Probe::OnChange::to<&ProbeSet::on_change>(this)),
                          now});
    }
  }
  schedule();
}

void ProbeSet::leave(Delegate<void()> on_left) {
  entries_.clear();
  timer_.stop();
  side_requests_.when_idle(on_left);
}

void ProbeSet::report(std::vector<wire::ProbeReport>& out) const {
  out.resize(entries_.size());
  for (size_t i = 0; i < entries_.size(); ++i) out[i] = entries_[i].probe->report();
}

void ProbeSet::on_due() {
  const MonoTime now = loop_.now();
  for (Entry& entry : entries_) {
    if (entry.due > now) continue;
    entry.due = next_on_grid(now, entry.probe->spec().interval);
    entry.probe->start_try();
  }
  schedule();
}

void ProbeSet::schedule() {
  if (entries_.empty()) return timer_.stop();
  const auto next = std::min_element(entries_.begin(), entries_.end(),
                                     [](const Entry& a, const Entry& b) { return a.due < b.due; });
  timer_.start(next->due - loop_.now());
}

void ProbeSet::on_change(const Probe& probe, Probe::Change change) {
  const wire::ProbeReport& report = probe.report();
  const std::string who = report.name + " (" + report.type + ")";
  const char* why = report.detail.c_str();
  const LogAbout about(report.name);
  const bool up = report.up == true;
  switch (change) {
    case Probe::Change::lost:
      return log_.warning(about, "probe %s is unknown: %s", who.c_str(), why);
    case Probe::Change::regained:
      return log_.info(about, "probe %s is still %s: %s", who.c_str(), up ? "up" : "down", why);
    case Probe::Change::verdict:
      break;
  }
  if (up) {
    log_.notice(about, "probe %s is up: %s", who.c_str(), why);
  } else {
    log_.warning(about, "probe %s is down: %s", who.c_str(), why);
  }
  on_change_(report);
}

}  // namespace nb::probe
