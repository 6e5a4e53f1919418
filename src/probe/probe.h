// Probe: one thing that is asked again and again, and what is known of it.
#pragma once

#include <memory>

#include "base/delegate.h"
#include "probe/check.h"
#include "probe/hysteresis.h"
#include "probe/spec.h"
#include "uv/timer.h"
#include "wire/node_health.h"

namespace nb::probe {

class Probe {
 public:
  enum class Change {
    verdict,   // up or down, the first one included
    lost,      // what it is cannot be told any more: report().up is empty, last_known stands
    regained,  // it can be told again, and the verdict is what it was
  };
  using OnChange = Delegate<void(const Probe&, Change)>;

  // `on_change` must not destroy the probe. `context` must outlive it.
  Probe(const CheckContext& context, ProbeSpec spec, OnChange on_change);
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  // Begins a try, with the spec's deadline. While one is under way it does nothing, unless that one
  // is about to end anyway: a timeout that is as long as the interval must not cost the next try.
  void start_try();

  const ProbeSpec& spec() const { return spec_; }
  // The detail always explains `up`: a single failure of something that is still up is not shown.
  const wire::ProbeReport& report() const { return report_; }

 private:
  void on_outcome(const Outcome& outcome);
  void on_deadline();

  const uv::Loop& loop_;
  const ProbeSpec spec_;
  OnChange on_change_;
  Hysteresis hysteresis_;
  wire::ProbeReport report_;
  std::string reason_;    // for the verdict: what the last try said that agreed with it
  bool unknown_ = false;  // the last try could not tell
  bool trying_ = false;
  bool had_more_time_ = false;  // this try, since the agent itself was held up
  MonoTime started_{};
  uv::Timer deadline_;
  std::unique_ptr<Check> check_;
};

}  // namespace nb::probe
