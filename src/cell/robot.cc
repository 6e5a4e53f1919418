#include "cell/robot.h"

#include <unistd.h>

#include <utility>

#include "base/own_file.h"
#include "base/timestamp.h"
#include "wire/keys.h"
#include "wire/program_events.h"

namespace nb::cell {
namespace {

constexpr rpc::Param kTimestamp{"timestamp", rpc::ParamKind::timestamp};
constexpr auto kUpdateParams =
    rpc::join(rpc::join(rpc::takes(kTimestamp), wire::params_of(wire::kRobotStateFields)),
              rpc::takes(rpc::kAck, rpc::kAckTimeout));

bool is_due(MonoTime last, Duration interval, MonoTime now) {
  return last == MonoTime::min() || now - last >= interval;
}

}  // namespace

constexpr rpc::Method Robot::kMethods[] = {
    rpc::method<&Robot::update>("robot.update", kUpdateParams, rpc::Right::robot,
                                rpc::kWrites | rpc::kInWill | rpc::kPushes),
};

Robot::Robot(uv::Loop& loop, const Log& log, const node::Identity& identity, Events& events,
             Writes& writes, const config::Config& config, std::string file)
    : loop_(loop),
      log_(log),
      identity_(identity),
      events_(events),
      writes_(writes),
      db_(config.redis.db_for("health").value()),
      key_(wire::robot_state_key(identity.node)),
      telemetry_(wire::robot_telemetry_stream(identity.node)),
      record_(wire::kRobotStateFields),
      file_(std::move(file)),
      event_timer_(loop, Delegate<void()>::to<&Robot::on_event_due>(this)) {
  reconfigure(config);
  load();
}

Robot::~Robot() {
  const outbox::Slot* slot = writes_.slots().find(db_, key_);
  if (file_.empty() || slot == nullptr || slot->settled()) return;
  outbox::FieldView fields[2];
  (void)state_slot(fields);
  if (const Status written = replace_own_file(file_, json_); !written) {
    log_.warning("the robot's last state, which Redis has not got, cannot be kept: %s",
                 written.error().message.c_str());
  }
}

void Robot::load() {
  if (file_.empty()) return;
  const auto text = read_own_file(file_);
  if (!text) return;
  const json::View state = wire::stored_record(*text);
  std::string scratch;
  const auto node = state["node_id"].string(scratch);
  if (!node || *node != identity_.node) return;
  noted_at_ = wire::time_of(state);
  if (noted_at_) record_.adopt(state);
}

void Robot::reconfigure(const config::Config& config) {
  config_ = config.robot;
  max_age_ = config.outbox.max_age;
  stream_bytes_ = config.outbox.stream_bytes;
  if (event_timer_.active()) start_timer();
}

void Robot::update(rpc::Call& call) {
  if (call.is_check()) return;
  const std::span<const json::View> values =
      call.from(wire::kRobotStateFields[0].param, std::size(wire::kRobotStateFields));
  record_.update(values);
  const MonoTime now = loop_.now();
  wire::take_timestamp(call[kTimestamp], loop_.clock().wall_now(), timestamp_);
  outbox::FieldView fields[2];
  const outbox::SlotUpdate slot = state_slot(fields);

  outbox::EntryUpdate sample;
  const outbox::FieldView joints[] = {
      {"node_id", identity_.node},
      {"timestamp", timestamp_},
      {"joints_l", record_.json(wire::kRobotJointsL)},
      {"joints_r", record_.json(wire::kRobotJointsR)},
      {"velocities_l", record_.json(wire::kRobotVelocitiesL)},
      {"velocities_r", record_.json(wire::kRobotVelocitiesR)},
  };
  const bool samples = config_.telemetry_interval > Duration::zero() &&
                       is_due(last_sample_, config_.telemetry_interval, now);
  if (samples) {
    sample = {db_, telemetry_, config_.telemetry_length, joints, stream_bytes_, {}, true};
  }

  bool taken;
  if (is_due(last_event_, config_.event_interval, now)) {
    write_event();
    // This event is sent once an interval, however many updates there are. The state that goes with
    // it must not wait behind other clients' messages.
    call.urgent |= config_.event_interval > Duration::zero();
    taken = events_.send(call, {wire::kRobotEventsChannel, event_, max_age_}, &slot,
                         samples ? &sample : nullptr);
    if (taken) {
      event_timer_.stop();
      last_event_ = now;
    }
  } else {
    taken = writes_.write(call, &slot, samples ? &sample : nullptr, nullptr);
    if (taken && !event_timer_.active()) start_timer();
  }
  if (taken) {
    if (samples) last_sample_ = now;
    return;
  }
  record_.take_back(values);
}

outbox::SlotUpdate Robot::state_slot(outbox::FieldView (&fields)[2]) {
  json_.clear();
  record_.append_json(timestamp_, identity_.node, json_);
  fields[0] = {"state", json_};
  fields[1] = {"last_updated", timestamp_};
  outbox::SlotUpdate slot;
  slot.db = db_;
  slot.key = key_;
  slot.fields = fields;
  return slot;
}

void Robot::start_timer() {
  event_timer_.start(last_event_ + config_.event_interval - loop_.now());
}

void Robot::finish() {
  if (!event_timer_.active()) return;
  event_timer_.stop();
  on_event_due();
}

// The last update of a burst is published as well.
void Robot::on_event_due() {
  last_event_ = loop_.now();
  write_event();
  rpc::Call own;
  events_.send(own, {wire::kRobotEventsChannel, event_, max_age_});
}

void Robot::write_event() {
  wire::write_state_update({identity_.node, identity_.instance_id, timestamp_}, record_, event_);
}

void Robot::read_back(redis::Link& link) {
  if (was_read_) return;
  const std::string_view command[] = {"HGET", key_, "state"};
  // Ahead of the updates that came meanwhile, which would replace it.
  link.query(db_, command, Delegate<void(const redis::QueryReply&)>::to<&Robot::on_read>(this),
             redis::Link::QueryOrder::ahead_of_writes);
}

void Robot::on_read(const redis::QueryReply& reply) {
  if (!reply.reply) return;  // the connection is gone: the next one reads
  was_read_ = true;
  if (reply.reply.is_error()) return;
  const json::View theirs = wire::stored_record(reply.reply.text());
  const auto stored_at = wire::time_of(theirs);
  const auto noted_at = std::exchange(noted_at_, std::nullopt);
  if (noted_at) ::unlink(file_.c_str());
  if (noted_at && (!stored_at || *noted_at >= *stored_at)) {
    if (!timestamp_.empty()) return;  // an update has gone out already, with all that was noted
    timestamp_ = format_timestamp(*noted_at);
    put_state();
    return on_event_due();
  }
  // If an update has gone out already, it lacked the members that only Redis had.
  if (record_.adopt(theirs) && !timestamp_.empty()) put_state();
}

void Robot::put_state() {
  outbox::FieldView fields[2];
  const outbox::SlotUpdate slot = state_slot(fields);
  rpc::Call own;
  writes_.write(own, &slot, nullptr, nullptr);
}

}  // namespace nb::cell
