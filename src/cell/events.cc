#include "cell/events.h"

#include <algorithm>

#include "base/timestamp.h"
#include "wire/keys.h"

namespace nb::cell {

using namespace std::string_view_literals;  // built for size, only these know their length
namespace {

constexpr int64_t kWeekMs = 604'800'000;
// Of the node's stream of events, and of what the programs of one user may add to it within an
// hour, one client's errors may take this part: so they neither push out what others have reported
// nor use up what others of the same user may report.
constexpr uint64_t kErrorShare = 4;

constexpr rpc::Param kChannel{"channel", rpc::ParamKind::plain, true, 1, 256};
constexpr rpc::Param kEvent{"event", rpc::ParamKind::object, true};
constexpr rpc::Param kMaxAge{"max_age_ms", rpc::ParamKind::integer, false, 0, kWeekMs};
constexpr rpc::Param kRecord{"record", rpc::ParamKind::boolean};

constexpr auto kPublishParams =
    rpc::takes(kChannel, kEvent, kMaxAge, kRecord, rpc::kAck, rpc::kAckTimeout);

}  // namespace

constexpr rpc::Method Events::kMethods[] = {
    rpc::method<&Events::publish>("event.publish", kPublishParams, rpc::Right::event,
                                  rpc::kWrites | rpc::kInWill),
};

Events::Events(uv::Loop& loop, const node::Identity& identity, Writes& writes, Listeners& listeners,
               const config::Config& config)
    : loop_(loop),
      identity_(identity),
      writes_(writes),
      listeners_(listeners),
      db_(config.redis.db_for("health").value()),
      node_stream_(wire::node_events_stream(identity.node)),
      recorded_(identity.node, {}),
      events_of_user_(0),
      errors_of_client_(0) {
  reconfigure(config);
}

void Events::reconfigure(const config::Config& config) {
  const config::OutboxConfig& outbox = config.outbox;
  max_age_ = outbox.max_age;
  events_length_ = config.robot.events_length;
  stream_bytes_ = outbox.stream_bytes;
  channel_limits_ = {static_cast<size_t>(outbox.channels), outbox.channel_length,
                     outbox.channel_bytes, outbox.channel_ttl};
  recorded_.set_limits(channel_limits_);
  events_of_user_.set_limit(config.robot.events_per_hour);
  const uint64_t of_all = std::min(config.robot.events_length, config.robot.events_per_hour);
  errors_of_client_.set_limit(std::max<uint64_t>(of_all / kErrorShare, 1));
}

void Events::publish(rpc::Call& call) {
  std::string scratch;
  const std::string_view channel = *call[kChannel].string(scratch);
  const json::View& event = call[kEvent];
  if (channel == wire::kStrokeProgressChannel) {
    return call.refuse(rpc::refused_key(channel, "progress is published by stroke.update"));
  }
  std::string_view payload = compacted(event, event_);
  if (wire::is_strict_channel(channel)) {
    const json::View type = event["type"];
    const json::View timestamp = event["timestamp"];
    if (!type.is(json::View::Type::string)) {
      return call.refuse(
          rpc::invalid_params("event.type", "the readers of this channel need a text here"));
    }
    if (timestamp.exists() && !timestamp.is(json::View::Type::string)) {
      return call.refuse(
          rpc::invalid_params("event.timestamp", "the readers of this channel need a text here"));
    }
    if (payload.data() != event_.data()) event_ = payload;
    event_.pop_back();
    if (!event["node_id"].exists()) {
      event_.append(",\"node_id\":\"").append(identity_.node).append("\"");
    }
    if (!timestamp.exists()) {
      event_ += ",\"timestamp\":\"";
      append_timestamp(loop_.clock().wall_now(), event_);
      event_ += '"';
    }
    event_ += '}';
    payload = event_;
  }
  if (call.is_check()) return;
  const bool records = call[kRecord].boolean().value_or(true);
  Publication publication{channel, payload, max_age_,
                          records ? Publication::Record::channel : Publication::Record::no};
  if (const auto age = call[kMaxAge].integer()) {
    publication.max_age = std::chrono::milliseconds(*age);
  }
  send(call, publication, nullptr, nullptr, AnswerKind::subscribers);
}

// A will counts for its user only: its client is gone.
bool Events::has_budget(const rpc::Call& call, Publication::Record record) {
  const rpc::Caller& who = call.who;
  if (record == Publication::Record::error && !call.is_will() &&
      !errors_of_client_.spend(who.client, 1, loop_.now())) {
    return false;
  }
  return who.client == 0 || events_of_user_.spend(who.user, 1, loop_.now());
}

bool Events::send(rpc::Call& call, const Publication& event, const outbox::SlotUpdate* slot,
                  const outbox::EntryUpdate* entry, AnswerKind kind, std::string_view result) {
  const outbox::MessageUpdate message{event.channel, event.payload, event.max_age};
  const outbox::FieldView fields[] = {{"channel"sv, event.channel}, {"event"sv, event.payload}};
  outbox::EntryUpdate own;
  if (event.record != Publication::Record::no) {
    own.db = db_;
    own.fields = fields;
    entry = &own;
    const bool of_channel = event.record == Publication::Record::channel;
    if (!of_channel && has_budget(call, event.record)) {
      own.stream = node_stream_;
      own.max_length = events_length_;
      own.max_bytes = stream_bytes_;
    } else {
      own.stream = of_channel ? recorded_.stream_of(event.channel, call.who.client, call.who.user,
                                                    loop_.now())
                              : recorded_.shared();
      own.max_length = channel_limits_.length;
      own.max_bytes = channel_limits_.bytes;
      own.ttl = channel_limits_.ttl;
    }
  }
  if (!writes_.write(call, slot, entry, &message, kind, result)) return false;
  listeners_.deliver_local(event.channel, event.payload);
  return true;
}

}  // namespace nb::cell
