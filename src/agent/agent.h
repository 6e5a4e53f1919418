// Agent: puts everything together. It owns one object of each kind, gives each part what it needs,
// and connects the callbacks. One thread runs it; stop(), reload() and stats() may be called from
// others.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "agent/figures.h"
#include "agent/local_api.h"
#include "agent/service_notify.h"
#include "base/log.h"
#include "config/load.h"
#include "fleet/watch.h"
#include "node/heartbeat.h"
#include "node/identity.h"
#include "node/lease.h"
#include "node/run_note.h"
#include "nodebeat/agent.h"
#include "outbox/outbox.h"
#include "redis/link.h"
#include "uv/async.h"
#include "uv/blocking_call.h"
#include "uv/loop.h"
#include "uv/timer.h"

namespace nb::agent {

class Agent {
 public:
  // `clock` must outlive the agent. `service`: speak to the service manager that the environment
  // in `sources` names.
  Agent(const Clock& clock, Log log, config::Sources&& sources, config::Loaded&& loaded,
        bool service);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // An error if the system refuses the resources of a loop.
  Status check() const;
  // NB_OK, NB_ERR_STATE, or why the socket cannot be served.
  int run();
  void stop();    // any thread, signal handlers
  void reload();  // any thread, signal handlers

  nb_agent_stats stats() const;  // any thread
  // The configuration with which the agent was made.
  const std::string& effective_config() const { return effective_config_; }

 private:
  void on_wake();
  void on_watchdog();
  void on_notify_waiting();
  void on_notify_again();
  void on_link_status(const redis::LinkStatus& status);
  void on_slot_stored(const outbox::Slot& slot, const redis::SlotEcho& echo);
  std::optional<Duration> ping() const;
  const redis::ServerClock* server_clock() const;
  void on_put();
  void on_lease_renewed();
  redis::LinkOptions way_to_redis();
  void on_settled(const outbox::Settled& settled);
  void on_node_event(std::string_view channel, std::string_view payload);
  void on_publish(std::string_view channel, std::string_view payload, bool is_notice);
  void on_part_done();
  void on_finished();
  bool hold_back();
  void take_down();
  void begin_stop();
  void begin_reload();
  void on_reload_read();
  void check_reload();
  void swap_config(config::Loaded&& loaded);
  Figures figures() const;
  void update_stats();

  const Clock& clock_;
  Log log_;
  config::Sources sources_;
  std::string effective_config_;
  config::Config config_;
  ServiceNotify notify_;
  node::Identity identity_;
  std::string notes_;  // notes are kept beside this path; empty: no notes are kept
  node::RunNote run_note_;
  outbox::Outbox outbox_;

  uv::Loop loop_;
  std::optional<uv::Timer> notify_again_;
  std::optional<uv::Async> wake_;  // lives from construction on: stop() may come before run()
  std::atomic<bool> stop_wanted_{false};
  std::atomic<bool> reload_wanted_{false};
  bool has_run_ = false;
  bool started_ = false;  // the start is over
  bool stopping_ = false;
  int parts_to_finish_ = 0;  // of a stop: the link, and the probes' sessions
  uint64_t reloads_ = 0;

  std::optional<redis::Link> link_;
  std::optional<node::Heartbeat> heartbeat_;
  std::optional<node::LeaseRenewal> lease_;
  std::optional<fleet::WatchService> watch_;
  std::optional<LocalApi> local_;
  std::optional<uv::Timer> watchdog_;

  // The configuration that is being read on a thread of its own, which shares it.
  struct Reading {
    config::Sources sources;
    std::optional<Result<config::Loaded>> loaded;
  };
  std::optional<uv::BlockingCall> reload_;
  std::shared_ptr<Reading> reading_;
  MonoTime reload_began_{};
  bool reload_complained_ = false;

  mutable std::mutex stats_mutex_;
  nb_agent_stats stats_{};
};

}  // namespace nb::agent
