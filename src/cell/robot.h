// Robot: robot.update. Partial updates are merged onto the last known state; the slot takes every
// one, the event goes out at a bounded rate. A state that Redis has not received when the agent
// stops is noted in a small file beside the socket: a robot that said goodbye, or whose will was
// carried out, will not repeat it, and Redis would show the robot as connected for ever.
#pragma once

#include <optional>
#include <string>

#include "base/log.h"
#include "cell/events.h"
#include "config/config.h"
#include "node/identity.h"
#include "redis/link.h"
#include "rpc/method.h"
#include "wire/record.h"

namespace nb::cell {

class Robot {
 public:
  // `file`: where such a state is noted; empty: nowhere.
  Robot(uv::Loop& loop, const Log& log, const node::Identity& identity, Events& events,
        Writes& writes, const config::Config& config, std::string file);
  ~Robot();
  Robot(const Robot&) = delete;
  Robot& operator=(const Robot&) = delete;

  void reconfigure(const config::Config& config);

  static const rpc::Method kMethods[1];
  void update(rpc::Call& call);

  // Publishes the event that waits for its turn, since no turn follows.
  void finish();

  // A connection to Redis: the state there from before this agent's time is the one onto which
  // updates are merged, unless an earlier agent has noted a later one.
  void read_back(redis::Link& link);
  // Redis has answered that question.
  bool was_read() const { return was_read_; }

 private:
  void load();
  void put_state();
  void on_read(const redis::QueryReply& reply);
  void start_timer();
  void on_event_due();
  void write_event();
  // The present state, as it goes to Redis; `fields` has to live as long.
  outbox::SlotUpdate state_slot(outbox::FieldView (&fields)[2]);

  uv::Loop& loop_;
  const Log& log_;
  const node::Identity& identity_;
  Events& events_;
  Writes& writes_;
  config::RobotConfig config_;
  Duration max_age_{};
  int db_;
  std::string key_;
  std::string telemetry_;
  uint64_t stream_bytes_ = 0;

  wire::Record record_;
  bool was_read_ = false;
  std::string file_;
  std::optional<WallTime> noted_at_;  // of the state in that file
  std::string timestamp_;             // of the last update
  std::string json_;                  // reused
  std::string event_;
  uv::Timer event_timer_;  // an event waits for its turn
  MonoTime last_event_ = MonoTime::min();
  MonoTime last_sample_ = MonoTime::min();
};

}  // namespace nb::cell
