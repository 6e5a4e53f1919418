// Stroke: stroke.start, .update, .end. One session runs at a time. A small file beside the socket
// holds its name and its progress, so that a restarted agent goes on with the session, also while
// Redis is away. The file also names sessions whose end Redis may not have received: a restarted
// agent ends those of them that Redis still shows as running.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "cell/ended_sessions.h"
#include "cell/events.h"
#include "cell/hourly_budget.h"
#include "config/config.h"
#include "node/identity.h"
#include "redis/link.h"
#include "rpc/method.h"
#include "wire/program_events.h"
#include "wire/record.h"

namespace nb::cell {

class Stroke {
 public:
  // `file`: where the running session is kept; empty: nowhere.
  Stroke(uv::Loop& loop, const Log& log, const node::Identity& identity, Events& events,
         Writes& writes, const config::Config& config, std::string file);
  ~Stroke();
  Stroke(const Stroke&) = delete;
  Stroke& operator=(const Stroke&) = delete;

  void reconfigure(const config::Config& config);

  static const rpc::Method kMethods[3];
  void start(rpc::Call& call);
  void update(rpc::Call& call);
  void end(rpc::Call& call);

  // A connection to Redis: reads the data there about the sessions that were read from the file.
  void read_back(redis::Link& link);
  // A session goes on of which Redis has not been asked yet.
  bool is_unread() const { return unread_; }

  // Empty: none runs.
  const std::string& session() const { return session_; }

 private:
  struct Ended {
    std::string session;
    std::string at;  // a timestamp
  };

  void load();
  void on_read(const redis::QueryReply& reply);
  void ask_about_ended();
  void on_ended_read(const redis::QueryReply& reply);
  void end_in_redis(const Ended& ended, json::View stored);
  void save();
  void save_soon();
  bool is_running(rpc::Call& call, json::View session);
  void take_timestamp(json::View given);
  void write_progress();
  void put_progress();
  outbox::SlotUpdate progress_slot(const outbox::FieldView& field) const;
  bool put_end(rpc::Call& call, const Ended& ended, std::string_view progress);
  void set_ttl(std::string_view key, outbox::Owner owner, Duration ttl);
  void renew();
  Duration running_ttl() const;
  wire::ProgramSource source_at(std::string_view timestamp) const;
  std::string new_session_id();
  void end_session(rpc::Call& call);
  void note_session();

  uv::Loop& loop_;
  const Log& log_;
  const node::Identity& identity_;
  Events& events_;
  Writes& writes_;
  config::RobotConfig config_;
  Duration max_age_{};
  int db_;
  std::string file_;
  bool told_ = false;                 // that the file cannot be written
  bool unread_ = false;               // the session was read from the file, but not yet from Redis
  std::optional<WallTime> noted_at_;  // of the progress in that file
  std::vector<Ended> ended_;          // by this agent; their ends may still wait for Redis
  std::vector<Ended> ended_before_;  // by an earlier agent; Redis has not been asked about them yet
  redis::Link* link_ = nullptr;      // the link on which it is being asked
  uint64_t stream_bytes_ = 0;
  // By user and not by client, since a new connection is easily had.
  HourlyBudget sessions_;
  HourlyBudget history_bytes_;
  EndedSessions in_redis_;
  uint64_t session_bytes_ = 0;  // about the size of the running session's history
  uv::Timer save_timer_;
  // for data that must not stay in Redis for ever if this agent never returns
  uv::Timer renew_timer_;
  MonoTime last_save_{};

  wire::Record record_;
  std::string session_;
  std::string key_;      // stroke:progress:{session}
  std::string history_;  // stream:stroke_history:{session}
  WallTime last_start_{};
  std::string timestamp_;
  std::string json_;  // reused
  std::string event_;
};

}  // namespace nb::cell
