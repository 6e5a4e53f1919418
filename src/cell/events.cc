#include "cell/events.h"

#include <algorithm>

#include "base/timestamp.h"
#include "json/writer.h"
#include "wire/bus.h"
#include "wire/keys.h"

namespace nb::cell {

using namespace std::string_view_literals;  // built for size, only these know their length
namespace {

constexpr int64_t kWeekMs = 604'800'000;
// Of the node's stream of events, and of what the programs of one user may add to it within an
// hour, one client's errors may take this part: so they neither push out what others have reported
// nor use up what others of the same user may report.
constexpr uint64_t kErrorShare = 4;

constexpr std::string_view kNodeId = "node_id";
constexpr std::string_view kClientName = "client_name";

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
               const config::Config& config, About about)
    : loop_(loop),
      identity_(identity),
      writes_(writes),
      listeners_(listeners),
      about_(about),
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
  bus_instance_ = config.bus.instance.empty() ? identity_.instance_id : config.bus.instance;
  events_length_ = config.robot.events_length;
  stream_bytes_ = outbox.stream_bytes;
  channel_limits_ = {static_cast<size_t>(outbox.channels), outbox.channel_length,
                     outbox.channel_bytes, outbox.channel_ttl};
  recorded_.set_limits(channel_limits_);
  events_of_user_.set_limit(config.robot.events_per_hour);
  const uint64_t of_all = std::min(config.robot.events_length, config.robot.events_per_hour);
  errors_of_client_.set_limit(std::max<uint64_t>(of_all / kErrorShare, 1));
}

void Events::append_client_name(const rpc::Call& call, std::string& object) const {
  const std::string_view name = about_(call.who.client).name;
  if (name.empty()) return;
  object.append(object.back() == '{' ? "\""sv : ",\""sv).append(kClientName).append("\":"sv);
  json::Writer(object).string(name);
}

void Events::append_client(const rpc::Call& call, std::string& object) const {
  append_client_name(call, object);
  if (!call.is_will()) return;
  object.append(",\"client_pid\":").append(std::to_string(about_(call.who.client).pid));
}

// Completes event_, the event without its end, by the names of its node and its client, so that no
// client can send an event in the name of another. False: the call was refused.
bool Events::complete(rpc::Call& call, std::string_view channel, bool is_bus,
                      const json::View& event) {
  const bool strict = wire::is_strict_channel(channel);
  json::View type, timestamp, node, client;
  for (const json::Member& member : event.members()) {
    if (member.name_is("type")) type = member.value;
    if (member.name_is("timestamp")) timestamp = member.value;
    if (member.name_is(kNodeId)) node = member.value;
    if (member.name_is(kClientName)) client = member.value;
  }
  const auto refuse = [&call](const char* field, const std::string& words) {
    call.refuse(rpc::invalid_params(field, words));
    return false;
  };
  constexpr const char* kText = "the readers of this channel need a text here";
  if (strict && !type.is(json::View::Type::string)) return refuse("event.type", kText);
  if (strict && timestamp.exists() && !timestamp.is(json::View::Type::string)) {
    return refuse("event.timestamp", kText);
  }
  if (node.exists() && !node.string_is(identity_.node)) {
    return refuse("event.node_id", "this is node '" + identity_.node +
                                       "', and no client speaks for another one: leave it out");
  }
  if (client.exists() && !client.string_is(about_(call.who.client).name)) {
    return refuse("event.client_name",
                  "the agent writes the name of the client's hello here: leave it out");
  }
  const json::View instance = is_bus ? event["data"][wire::kSourceInstance] : json::View();
  if (instance.exists() && !instance.string_is(bus_instance_)) {
    return refuse("event.data.source_instance",
                  "bus.publish writes this agent's instance here: use that, or leave it out");
  }
  if (!node.exists()) {
    event_.append(event_.back() == '{' ? "\""sv : ",\""sv).append(kNodeId);
    event_.append("\":\""sv).append(identity_.node).push_back('"');
  }
  if (strict && !timestamp.exists()) {
    event_.append(",\"timestamp\":\""sv);
    append_timestamp(loop_.clock().wall_now(), event_);
    event_ += '"';
  }
  if (!client.exists()) append_client_name(call, event_);
  event_ += '}';
  return true;
}

void Events::publish(rpc::Call& call) {
  std::string scratch;
  const std::string_view channel = *call[kChannel].string(scratch);
  const json::View& event = call[kEvent];
  if (channel == wire::kStrokeProgressChannel) {
    return call.refuse(rpc::refused_key(channel, "progress is published by stroke.update"));
  }
  if (channel.starts_with(wire::kNodeEventsPrefix) &&
      channel.substr(wire::kNodeEventsPrefix.size()) != identity_.node) {
    return call.refuse(rpc::refused_key(channel, "only programs on that node speak there"));
  }
  if (wire::is_session_channel(channel)) {
    return call.refuse(rpc::refused_key(channel, "what is said there is said by session.*"));
  }
  const std::string_view compact = compacted(event, event_);
  if (compact.data() != event_.data()) event_ = compact;
  event_.pop_back();
  const bool is_bus = wire::is_bus_channel(channel);
  if (!complete(call, channel, is_bus, event)) return;
  // Only bus.publish writes the time into it after which it is too late, by Redis' clock.
  if (is_bus && wire::is_emergency_stop(event)) {
    return call.refuse(
        rpc::invalid_params("event", "an emergency stop is published by bus.publish only"));
  }
  // As bus.publish: what may become too old is not recorded.
  const bool for_now = is_bus && event["data"][wire::kBusMaxAge].exists();
  if (for_now && call[kRecord].boolean().value_or(false)) {
    return call.refuse(rpc::invalid_params("record", "what has data.max_age_ms is not recorded"));
  }
  if (call.is_check()) return;
  const bool records = call[kRecord].boolean().value_or(!for_now);
  Publication publication{channel, event_, max_age_,
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
  listeners_.deliver_local(event.channel, event.payload, event.record != Publication::Record::no);
  return true;
}

}  // namespace nb::cell
