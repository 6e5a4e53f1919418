// Heartbeat: samples the node at a steady beat and puts one update into the outbox: the health slot
// with its expiry, the history entry, and an event on the node's channel if there is one. It also
// looks at the health that the update replaced. If another agent has written that health, the agent
// has the same node name.
#pragma once

#include <optional>
#include <string>

#include "base/delegate.h"
#include "base/log.h"
#include "config/config.h"
#include "health/sampler.h"
#include "node/clock_watch.h"
#include "node/identity.h"
#include "outbox/outbox.h"
#include "probe/probe_set.h"
#include "redis/pipeline.h"
#include "redis/server_clock.h"
#include "uv/timer.h"
#include "wire/node_events.h"

namespace nb::node {

class Heartbeat {
 public:
  // What a beat needs from other parts, and what it tells them.
  struct Wiring {
    // The last PING's round trip on the living connection.
    Delegate<std::optional<Duration>()> ping;
    // Something was put into the outbox.
    Delegate<void()> on_put;
    // An event was said on the node's channel: local programs hear it without Redis.
    Delegate<void(std::string_view channel, std::string_view payload)> on_event;
    // What is known of Redis' clock; null: nothing.
    Delegate<const redis::ServerClock*()> server_clock;
  };

  // All references must outlive the heartbeat.
  Heartbeat(uv::Loop& loop, const Log& log, outbox::Outbox& outbox, const Identity& identity,
            const config::Config& config, Wiring wiring);

  // The first beat comes after a fifth of a second, in which two samples make a CPU figure. The
  // beat and its node_up have both.
  void start(std::optional<wire::LastRun> last_run, wire::BootReason boot = {});
  // Takes over interval, TTL, history, disks, GPU and probes.
  void reconfigure(const config::Config& config);
  // The last beat: it says that the node is no longer reachable, and why. The probes end their
  // sessions; `on_probes_left` is called when that is done, after half a second at most.
  void say_goodbye(std::string_view reason, Delegate<void()> on_probes_left);

  // Whether Redis takes the lease of this node. News goes out with a beat at once: without it the
  // watcher takes a lease that stands still for the node's death.
  void set_lease_refused(bool refused);
  // For the link: what Redis had under a key that was just written.
  void on_slot_stored(const outbox::Slot& slot, const redis::SlotEcho& echo);

  uint64_t beats() const { return beats_; }
  // The last beat's JSON; empty before the first.
  const std::string& json() const { return json_; }
  // The instance of another agent that beats as this node; empty: none is known.
  const std::string& other_instance() const { return health_.name_conflict; }
  const std::vector<wire::ProbeReport>& probes() const { return health_.probes; }

 private:
  void on_beat();
  void on_probe_change(const wire::ProbeReport& probe);
  void schedule();
  // The payload goes out on the node's channel; if it is empty, there is no event.
  void put(std::string_view payload, Duration max_age, bool with_history);
  void post(std::string_view payload, Duration max_age);
  wire::EventSource source(WallTime wall) const;
  std::optional<Duration> look_at_clocks();
  void look_for_another(std::string_view previous);

  uv::Loop& loop_;
  const Log& log_;
  outbox::Outbox& outbox_;
  const Identity& identity_;
  config::HeartbeatConfig config_;
  config::HealthConfig health_config_;
  int db_;
  Duration message_max_age_;
  uint64_t stream_bytes_ = 0;
  Wiring wiring_;

  std::optional<health::Sampler> sampler_;
  probe::ProbeSet probes_;
  wire::NodeHealth health_;
  uv::Timer timer_;
  std::string json_;  // of the last beat: kept for its room
  ClockWatch clocks_;
  uint64_t beats_ = 0;
  bool stopped_ = false;
  bool history_missed_ = false;  // it was logged that beats are too large for the history

  bool ours_was_there_ = false;
  bool foreign_writer_said_ = false;
  int quiet_beats_ = 0;  // since another agent's health was last seen
};

}  // namespace nb::node
