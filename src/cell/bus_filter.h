// BusFilter: which of the bus' messages that come from Redis are for the clients of this node. It
// drops the node's own messages, whichever program sent them in its name, and messages that are
// older than their sender allows.
//
// The clock of Redis decides about the age, since the wall clocks of two computers may differ by
// hours: the sender writes the time by Redis' clock, and names the `max_age_ms` only if it knows
// that clock. A message without that member may have any age. For some seconds after Redis' clock
// was set, a message may be from a sender that has not noticed yet: then it is not too late if it
// is in time by the earlier clock.
#pragma once

#include <string_view>

#include "base/log.h"
#include "config/config.h"
#include "json/guard.h"
#include "node/identity.h"
#include "redis/clock_reader.h"

namespace nb::cell {

class BusFilter {
 public:
  // All references must outlive it; `config` may change between calls.
  BusFilter(const Log& log, const node::Identity& identity, const config::Config& config,
            redis::ClockReader& clock)
      : log_(log), identity_(identity), config_(config), clock_(clock) {}

  // The name of this agent on the bus.
  std::string_view instance() const {
    const std::string& named = config_.bus.instance;
    return named.empty() ? identity_.instance_id : named;
  }
  const redis::ServerClock& clock() const { return clock_.clock(); }
  redis::ClockReader& clock_reader() const { return clock_; }

  enum class Verdict : uint8_t { wanted, own, too_late };
  struct Look {
    Verdict verdict = Verdict::wanted;
    bool for_now = false;  // it is never recorded
    WallTime sent{};       // these are of one that is too late
    int64_t age_ms = 0;
    int64_t max_age_ms = 0;
  };
  Look look(std::string_view payload, MonoTime now, json::Guard& guard) const;
  void log_too_late(std::string_view channel, const Look& look) const;

 private:
  const Log& log_;
  const node::Identity& identity_;
  const config::Config& config_;
  redis::ClockReader& clock_;
};

}  // namespace nb::cell
