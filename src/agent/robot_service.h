// RobotService: robot.update. Partial updates are merged onto the last known state; the slot takes
// every one, the event goes out at a bounded rate.
#pragma once

#include "agent/event_bus.h"
#include "agent/identity.h"
#include "config/config.h"
#include "redis/link.h"
#include "wire/record.h"

namespace nb::agent {

class RobotService {
 public:
  RobotService(uv::Loop& loop, const Identity& identity, EventBus& bus,
               const config::Config& config);

  void reconfigure(const config::Config& config);
  void update(Request& request);
  // Tells what waits for its turn: there will be none.
  void finish();

  // A connection to Redis: what stands there from before this agent's time is the state onto which
  // updates are merged.
  void read_back(redis::Link& link);

 private:
  void on_read(const redis::QueryReply& reply);
  void start_timer();
  void on_event_due();
  void write_event();
  // What is known now, as it goes to Redis; `fields` has to live as long.
  outbox::SlotUpdate state_slot(outbox::FieldView (&fields)[2]);

  uv::Loop& loop_;
  const Identity& identity_;
  EventBus& bus_;
  config::RobotConfig config_;
  Duration max_age_{};
  int db_;
  std::string key_;
  std::string telemetry_;
  uint64_t stream_bytes_ = 0;

  wire::Record record_;
  bool was_read_ = false;
  std::string timestamp_;  // of the last update
  std::string json_;       // reused
  std::string event_;
  uv::Timer event_timer_;  // an event waits for its turn
  MonoTime last_event_ = MonoTime::min();
  MonoTime last_sample_ = MonoTime::min();
};

}  // namespace nb::agent
