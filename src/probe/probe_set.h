// ProbeSet: all the probes of an agent, and when each is asked. The room's entrance.
//
// To wake up rarely, tries begin on a grid: a probe of interval T is asked when the monotonic clock
// reaches a multiple of T, so all probes of one interval are asked in one turn of the loop,
// together with whatever else keeps to that grid. Only the first try of a new probe begins at once.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/delegate.h"
#include "base/log.h"
#include "probe/probe.h"
#include "probe/side_requests.h"
#include "probe/system_bus.h"
#include "uv/timer.h"

namespace nb::probe {

class ProbeSet {
 public:
  struct Options {
    std::string version;  // the agent's, as it introduces itself to servers
    std::string proc_root = "/proc";
    std::string system_bus = "/run/dbus/system_bus_socket";
  };

  // `on_change` comes as soon as a verdict changes, the first verdict of each probe included, and
  // never from within set(); it must neither call set() nor destroy the set. Each new verdict is
  // logged here, and so is, once, a verdict that is no longer known. The thread that runs the loop
  // must block or ignore SIGPIPE (uv/stream.h).
  ProbeSet(uv::Loop& loop, const Log& log, Options options,
           Delegate<void(const wire::ProbeReport&)> on_change);
  ProbeSet(const ProbeSet&) = delete;
  ProbeSet& operator=(const ProbeSet&) = delete;

  // These and no others, at start and after a reload: a probe whose spec is there unchanged goes on
  // with all it knows, others begin anew. Names must differ.
  void set(std::vector<ProbeSpec> specs);

  // Drops all probes for good and ends their sessions. `on_left` comes once, when that is done or
  // has taken too long; at once if there is nothing to do.
  void leave(Delegate<void()> on_left);

  // What is known of each, in the order of the specs. Reuses what `out` holds.
  void report(std::vector<wire::ProbeReport>& out) const;

 private:
  struct Entry {
    std::unique_ptr<Probe> probe;
    MonoTime due{};
  };

  void on_due();
  void on_change(const Probe& probe, Probe::Change change);
  void schedule();

  uv::Loop& loop_;
  const Log& log_;
  Delegate<void(const wire::ProbeReport&)> on_change_;
  SystemBus bus_;
  SideRequests side_requests_;  // outlives the probes
  CheckContext context_;
  std::vector<Entry> entries_;
  uv::Timer timer_;
};

}  // namespace nb::probe
