#include "agent/local_api.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "agent/forget.h"
#include "agent/look.h"
#include "agent/mapping.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "config/suggest.h"
#include "json/writer.h"
#include "node/heartbeat.h"
#include "node/version.h"
#include "redis/forms.h"
#include "rpc/line_limits.h"
#include "wire/keys.h"

namespace nb::agent {

using namespace std::string_view_literals;  // built for size, only these know their length

namespace {

using rpc::Param;
using rpc::ParamKind;

constexpr size_t kMaxParams = 20;
constexpr int64_t kDefaultTimeoutMs = 2000;
constexpr int64_t kMaxTimeoutMs = 60000;
constexpr int64_t kYearMs = 31536000000;
constexpr int64_t kWeekMs = 604800000;
constexpr Duration kLossesInterval = std::chrono::seconds(1);
// Of the node's stream of events, and of what the programs of one user may add to it within an
// hour, one client's errors may take this part: so they neither push out what others have reported
// nor use up what others of the same user may report.
constexpr uint64_t kErrorShare = 4;

uint64_t errors_per_hour(const config::Config& config) {
  const uint64_t of_all = std::min(config.robot.events_length, config.robot.events_per_hour);
  return std::max<uint64_t>(of_all / kErrorShare, 1);
}

std::string note_path(const std::string& notes, const char* suffix) {
  return notes.empty() ? std::string() : notes + suffix;
}

constexpr Param kTimestamp{"timestamp", ParamKind::timestamp};
constexpr Param kSession{"session_id", ParamKind::plain, false, 1, 256};

}  // namespace

// To the params of a method that writes, "ack" and "timeout_ms" are added.
struct LocalApi::Method {
  std::string_view name;
  std::span<const Param> params;
  std::span<const wire::RecordField> fields;  // further params, behind the others
  void (LocalApi::*call)(Request&);
  bool writes = false;
  bool in_will = false;
};

namespace {

constexpr Param kHello[] = {
    {"name", ParamKind::plain, false, 1, 64},
    {"errors", ParamKind::boolean},
    {"will", ParamKind::array_or_null, false, 0, rpc::kWillCalls},
    {"max_line_bytes", ParamKind::integer, false, rpc::kLineBytes, rpc::kMostLineBytes},
};
constexpr Param kWillCall[] = {
    {"method", ParamKind::plain, true, 1, 64},
    {"params", ParamKind::object},
};
constexpr const Param* kWillCallParams[] = {&kWillCall[0], &kWillCall[1]};
constexpr Param kRobotUpdate[] = {kTimestamp};
constexpr Param kStrokeStart[] = {kTimestamp};
constexpr Param kStrokeUpdate[] = {kTimestamp, kSession};
constexpr Param kStrokeEnd[] = {kSession};
constexpr Param kErrorReport[] = {
    {"category", ParamKind::word, true, 1, 64},
    {"message", ParamKind::text, true, 0, 4096},
    {"details", ParamKind::object},
};
constexpr Param kKey[] = {{"key", ParamKind::plain, true, 1, 512}};
constexpr Param kStateSet[] = {
    kKey[0],
    {"value", ParamKind::any, true},
    {"ttl_ms", ParamKind::integer, false, 1, kYearMs},
};
constexpr Param kStateList[] = {
    {"prefix", ParamKind::text, false, 0, 512},
    {"limit", ParamKind::integer, false, 1, 1000},
    {"cursor", ParamKind::text, false, 1, 64},
};
constexpr Param kEventPublish[] = {
    {"channel", ParamKind::plain, true, 1, 256},
    {"event", ParamKind::object, true},
    {"max_age_ms", ParamKind::integer, false, 0, kWeekMs},
    {"record", ParamKind::boolean},
};
constexpr Param kSubscribe[] = {
    {"channels", ParamKind::texts, false, 0, rpc::kSubscriptions},
    {"patterns", ParamKind::texts, false, 0, rpc::kSubscriptions},
};
constexpr Param kHealthGet[] = {{"node", ParamKind::word, false, 1, 64}};
constexpr Param kNodeForget[] = {{"node", ParamKind::word, true, 1, 64}};
constexpr Param kSystemStatus[] = {
    {"limit", ParamKind::integer, false, 1, 1000},
    {"cursor", ParamKind::word, false, 1, 64},
};
constexpr Param kAck[] = {
    {"ack", ParamKind::text, false, 0, 16},
    {"timeout_ms", ParamKind::integer, false, 1, kMaxTimeoutMs},
};

}  // namespace

// Those that are called most stand first.
constexpr LocalApi::Method LocalApi::kMethods[] = {
    {"robot.update", kRobotUpdate, wire::kRobotStateFields, &LocalApi::robot_update, true, true},
    {"stroke.update", kStrokeUpdate, wire::kStrokeProgressFields, &LocalApi::stroke_update, true},
    {"event.publish", kEventPublish, {}, &LocalApi::event_publish, true, true},
    {"state.set", kStateSet, {}, &LocalApi::state_set, true, true},
    {"state.get", kKey, {}, &LocalApi::state_get},
    {"error.report", kErrorReport, {}, &LocalApi::error_report, true, true},
    {"stroke.start", kStrokeStart, wire::kStrokeProgressFields, &LocalApi::stroke_start, true},
    {"stroke.end", kStrokeEnd, {}, &LocalApi::stroke_end, true, true},
    {"state.delete", kKey, {}, &LocalApi::state_delete, true, true},
    {"state.list", kStateList, {}, &LocalApi::state_list},
    {"event.subscribe", kSubscribe, {}, &LocalApi::event_subscribe},
    {"event.unsubscribe", kSubscribe, {}, &LocalApi::event_unsubscribe},
    {"health.get", kHealthGet, {}, &LocalApi::health_get},
    {"system.status", kSystemStatus, {}, &LocalApi::system_status},
    {"node.forget", kNodeForget, {}, &LocalApi::node_forget},
    {"agent.stats", {}, {}, &LocalApi::agent_stats},
    {"redis.inspect", {}, {}, &LocalApi::redis_inspect},
    {"client.hello", kHello, {}, &LocalApi::client_hello},
    {"client.goodbye", {}, {}, &LocalApi::client_goodbye},
};

LocalApi::LocalApi(const Parts& parts, const config::Config& config)
    : loop_(parts.loop),
      log_(parts.log),
      identity_(parts.identity),
      outbox_(parts.outbox),
      link_(parts.link),
      heartbeat_(parts.heartbeat),
      config_(config),
      enabled_(!config.socket.path.empty()),
      db_(config.redis.db_for("health").value()),
      started_(parts.loop.now()),
      rpc_(parts.loop, parts.log, server_options(config, parts.environment, parts.log),
           ipc::RpcEvents{
               Delegate<void(const ipc::Call&)>::to<&LocalApi::on_call>(this),
               Delegate<void(ipc::ClientId, const ipc::Peer&)>::to<&LocalApi::on_open>(this),
               Delegate<void(ipc::ClientId, ipc::Departure)>::to<&LocalApi::on_close>(this),
               Delegate<void(ipc::ClientId, bool&)>::to<&LocalApi::on_may_yield>(this)}),
      subscriber_(parts.loop, parts.log, link_options(config),
                  redis::SubscriberEvents{
                      Delegate<void(std::string_view, std::string_view,
                                    std::string_view)>::to<&EventBus::on_remote>(&bus_),
                      Delegate<void(WallTime, WallTime)>::to<&EventBus::on_gap>(&bus_),
                      Delegate<void(redis::LinkState)>::to<&EventBus::on_remote_state>(&bus_)},
                  parts.make_transport),
      reader_(parts.loop, link_options(config), db_, parts.make_transport),
      requests_(parts.loop, rpc_, parts.outbox, parts.link, &LocalApi::link_words, this),
      operations_(parts.loop, rpc_, reader_, parts.link, &LocalApi::link_words, this),
      fleet_(parts.loop, reader_, identity_.node,
             fleet::Fleet::Wiring{
                 Delegate<bool()>::to<&Operations::redis_is_there>(&operations_),
                 Delegate<std::string_view()>::to<&LocalApi::own_health>(this),
                 Delegate<bool(uint64_t, size_t)>::to<&Operations::has_room>(&operations_),
                 Delegate<size_t(uint64_t)>::to<&Operations::result_bytes>(&operations_),
                 Delegate<void(uint64_t, std::string_view)>::to<&LocalApi::answer_status>(this)}),
      pruner_(parts.loop, parts.log, reader_, parts.link),
      bus_(parts.loop, rpc_, requests_, subscriber_, bus_options(config, identity_.node)),
      robot_(parts.loop, parts.log, identity_, bus_, requests_, config,
             note_path(parts.notes, ".robot")),
      strokes_(parts.loop, parts.log, identity_, bus_, requests_, config,
               note_path(parts.notes, ".session")),
      state_(requests_, operations_, parts.outbox, db_, config.outbox.new_value_bytes_per_hour),
      errors_(errors_per_hour(config)),
      losses_timer_(parts.loop, Delegate<void()>::to<&LocalApi::tell_losses>(this)) {}

LocalApi::~LocalApi() = default;

Status LocalApi::start() {
  register_node();
  pruner_.set_age(config_.heartbeat.forget_after);
  if (!enabled_) return {};
  return rpc_.start();
}

void LocalApi::stop() {
  robot_.finish();
  rpc_.stop();
  subscriber_.stop();
  fleet_.stop();
  pruner_.stop();
  reader_.stop();
  clients_.clear();
}

void LocalApi::reconfigure() {
  robot_.reconfigure(config_);
  strokes_.reconfigure(config_);
  state_.reconfigure(config_.outbox.new_value_bytes_per_hour);
  errors_.set_limit(errors_per_hour(config_));
  bus_.reconfigure(bus_options(config_, identity_.node));
  subscriber_.reconfigure(link_options(config_));
  reader_.reconfigure(link_options(config_));
  pruner_.set_age(config_.heartbeat.forget_after);
}

// What is known of a node when its health has expired is that there was one.
void LocalApi::register_node() {
  std::string about;
  json::Writer json(about);
  json.begin_object().key("instance_id").string(identity_.instance_id);
  json.key("agent_version").string(node::kVersion);
  json.key("since").string(format_timestamp(loop_.clock().wall_now())).end_object();
  const outbox::FieldView fields[] = {{identity_.node, about}};
  outbox::SlotUpdate slot;
  slot.db = db_;
  slot.key = wire::kNodesKey;
  slot.fields = fields;
  Request nobody;
  requests_.write(nobody, &slot, nullptr, nullptr);
}

std::string LocalApi::link_words(void* self) {
  const redis::LinkStatus& status = static_cast<LocalApi*>(self)->link_.status();
  if (status.state == redis::LinkState::steady) return "connected";
  return status.words.empty() ? "not connected yet" : status.words;
}

void LocalApi::on_link_status(const redis::LinkStatus& status) {
  requests_.on_link_status();
  if (status.state >= redis::LinkState::replaying && !was_steady_) {
    reader_.on_server_there();
    read_back();
  }
  if (status.state == redis::LinkState::steady) reading_back_ = false;
  if (status.state == redis::LinkState::waiting && std::exchange(reading_back_, false) &&
      status.trouble == redis::Trouble::rubbish && ++bad_read_backs_ == kMostBadReadBacks) {
    log_.warning(
        "what Redis has kept of the robot and its stroke session is not read back: the answer ends "
        "the connection (%s)",
        status.words.c_str());
  }
  was_steady_ = status.state >= redis::LinkState::replaying;
}

// These questions go out on the link itself, since they have to be answered before the first
// write. So an answer that ends the connection (something else stands there, of many megabytes)
// must not be asked for at each new one.
void LocalApi::read_back() {
  if (bad_read_backs_ >= kMostBadReadBacks) return;
  reading_back_ = true;
  const std::string_view info[] = {"INFO", "server"};
  link_.query(db_, info,
              Delegate<void(const redis::QueryReply&)>::to<&LocalApi::on_server_info>(this),
              redis::Link::QueryOrder::ahead_of_writes);
  robot_.read_back(link_);
  strokes_.read_back(link_);
}

// Another server process may have come back with less than it had. One that does not say who it is
// still shows it by what is missing of the agent's own.
void LocalApi::on_server_info(const redis::QueryReply& reply) {
  if (!reply.reply.is_string()) return;
  constexpr size_t kMostDigits = 64;
  const auto id = redis::find_in_info(reply.reply.string(), "run_id");
  if (!id || id->empty() || id->size() > kMostDigits || *id == run_id_) return;
  const bool first = run_id_.empty();
  run_id_ = *id;
  if (first) return;
  outbox_.rewrite_all();
  link_.wake();
}

// Said once, not at each beat, of a server that evicts or deletes all the time.
void LocalApi::on_lost() {
  constexpr Duration kQuiet = std::chrono::minutes(10);
  const MonoTime now = loop_.now();
  if (lost_said_ != MonoTime::min() && now - lost_said_ < kQuiet) return;
  lost_said_ = now;
  log_.notice(
      "redis has lost what was written; writing everything again (said at most once in ten "
      "minutes; if it goes on, something there evicts or deletes)");
}

void LocalApi::on_publish(std::string_view channel, std::string_view payload, bool is_notice) {
  bus_.on_publish(channel, payload, is_notice);
}

// --- clients and their wills
// ----------------------------------------------------------------------

void LocalApi::on_open(ipc::ClientId id, const ipc::Peer& peer) {
  Client client;
  client.id = id;
  client.peer = peer;
  clients_.push_back(std::move(client));
  outbox_.client_came(id, peer.uid);
}

LocalApi::Client* LocalApi::find_client(ipc::ClientId id) {
  const auto at =
      std::find_if(clients_.begin(), clients_.end(), [&](const Client& c) { return c.id == id; });
  return at == clients_.end() ? nullptr : &*at;
}

// Whoever has a will or listens is connected on purpose, however silent.
void LocalApi::on_may_yield(ipc::ClientId id, bool& needed) {
  const Client* client = find_client(id);
  needed = (client != nullptr && !client->will.empty()) || bus_.subscriptions_of(id) > 0;
}

void LocalApi::on_close(ipc::ClientId id, ipc::Departure departure) {
  bus_.on_client_closed(id);
  operations_.on_client_closed(id);
  fleet_.on_client_closed(id);
  requests_.on_client_closed(id);
  errors_.forget(id);
  if (Client* client = find_client(id)) {
    const Client gone = std::move(*client);
    clients_.erase(clients_.begin() + (client - clients_.data()));
    see_to_will(gone, departure);
    outbox_.client_gone(id, gone.peer.uid);
  }
}

void LocalApi::see_to_will(const Client& gone, ipc::Departure departure) {
  if (gone.will.empty()) return;
  // Nobody knows then whether the client's process is dead, and it may be alive.
  if (departure == ipc::Departure::agent) return;
  log_.warning(LogAbout(static_cast<uint64_t>(gone.peer.pid)),
               "client %s (pid %d) has gone without saying good-bye: its last will is carried out",
               gone.name.empty() ? "without a name" : gone.name.c_str(), gone.peer.pid);
  carry_out(gone);
}

std::optional<rpc::Error> LocalApi::check_will(json::View will) {
  size_t index = 0;
  for (const json::View element : will.elements()) {
    const std::string place = format("will[%zu]", index++);
    if (element.type() != json::View::Type::object) {
      return rpc::invalid_params(place, "expected an object with method and params");
    }
    json::View call[2];
    if (auto error = rpc::check_params(element, kWillCallParams, call)) {
      rpc::add_place(*error, place + ".");
      return error;
    }
    std::string scratch;
    const Method* method = find_method(*call[0].string(scratch));
    if (method == nullptr || !method->in_will) {
      return rpc::invalid_params(
          place + ".method",
          "allowed in a will are robot.update, stroke.end, error.report, event.publish, state.set "
          "and state.delete");
    }
    Request request;
    request.check_only = true;
    dispatch(*method, call[1], request);
    if (request.error) {
      rpc::add_place(*request.error, place + ".params.");
      return request.error;
    }
  }
  return std::nullopt;
}

void LocalApi::carry_out(const Client& gone) {
  for (const json::View element : json::View::of(gone.will).elements()) {
    std::string scratch;
    const std::string_view name = *element["method"].string(scratch);
    Request request;
    request.owner = gone.id;
    request.user = gone.peer.uid;
    request.began = loop_.now();
    request.urgent = true;
    dispatch(*find_method(name), element["params"], request);
    if (request.error) {
      log_.warning(LogAbout(static_cast<uint64_t>(gone.peer.pid)),
                   "of the last will, %.*s was refused: %s", static_cast<int>(name.size()),
                   name.data(), request.error->message.c_str());
    }
  }
}

// A client hears at once that events of its own were dropped, and then at most once a second.
void LocalApi::on_losses() {
  if (losses_timer_.active()) return;
  const MonoTime now = loop_.now();
  const bool just_told = losses_told_ != MonoTime::min() && now - losses_told_ < kLossesInterval;
  losses_timer_.start(just_told ? losses_told_ + kLossesInterval - now : Duration::zero());
}

void LocalApi::tell_losses() {
  losses_told_ = loop_.now();
  outbox_.take_losses([this](outbox::Owner client, uint64_t count) {
    rpc_.report(
        client, "event.publish",
        rpc::dropped(format("the oldest events of this client that waited for Redis were dropped "
                            "unsent, %llu since it was last told: they waited too long, or newer "
                            "ones needed the room ([outbox] client_event_bytes, event_bytes)",
                            static_cast<unsigned long long>(count)),
                     count));
  });
}

// --- calls
// ----------------------------------------------------------------------------------------

const LocalApi::Method* LocalApi::find_method(std::string_view name) {
  for (const Method& method : kMethods) {
    if (method.name == name) return &method;
  }
  return nullptr;
}

std::string_view LocalApi::nearest_method(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Method& method : kMethods) names.push_back(std::string_view(method.name));
  return config::nearest(name, names);
}

void LocalApi::on_call(const ipc::Call& call) {
  Request request;
  request.call = &call;
  request.owner = call.client;
  // One look at the clock a line: what ends the one before begins the next of the same reading.
  const uint64_t reading = rpc_.readings();
  request.began = std::exchange(reading_, reading) == reading ? ended_ : loop_.now();
  const Method* method = find_method(call.method);
  if (method == nullptr) {
    requests_.refuse(request, rpc::unknown_method(call.method, nearest_method(call.method)));
  } else {
    dispatch(*method, call.params, request);
  }
  ended_ = loop_.now();
  rpc_.see(ended_);
  accept_latency_.record(ended_ - request.began);
}

void LocalApi::dispatch(const Method& method, json::View params, Request& request) {
  // The table of this call on the stack: its own params, the record's, the acknowledgement's.
  std::array<const Param*, kMaxParams> specs;
  std::array<json::View, kMaxParams> values;
  size_t count = 0;
  for (const Param& param : method.params) specs[count++] = &param;
  for (const wire::RecordField& field : method.fields) specs[count++] = &field.param;
  const size_t own = count;
  // A will waits for nobody.
  if (method.writes && request.call != nullptr) {
    for (const Param& param : kAck) specs[count++] = &param;
  }
  if (params.exists() && params.type() != json::View::Type::object) {
    return requests_.refuse(request, rpc::invalid_params("params", "expected an object"));
  }
  const auto error =
      rpc::check_params(params, std::span(specs.data(), count), std::span(values.data(), count));
  if (error) return requests_.refuse(request, *error);
  if (count > own) {
    const json::View ack = values[own];
    const json::View timeout = values[own + 1];
    std::string scratch;
    const auto kind = ack.string(scratch);
    request.stored = kind && *kind == "stored"sv;
    if (kind && !request.stored && *kind != "accepted"sv) {
      return requests_.refuse(request,
                              rpc::invalid_params("ack", "expected \"accepted\" or \"stored\""));
    }
    if (timeout.exists() && !request.stored) {
      return requests_.refuse(
          request, rpc::invalid_params("timeout_ms", "goes with \"ack\":\"stored\" only"));
    }
    request.timeout = std::chrono::milliseconds(timeout.integer().value_or(kDefaultTimeoutMs));
  }
  request.values = std::span<const json::View>(values.data(), own);
  (this->*method.call)(request);
}

void LocalApi::client_hello(Request& request) {
  Client* client = find_client(request.call->client);
  if (client == nullptr) return;
  const json::View will = request.values[2];
  if (will.type() == json::View::Type::array) {
    if (const auto error = check_will(will)) return requests_.refuse(request, *error);
    client->will.clear();
    append_compact(will, client->will);
  } else if (will.type() == json::View::Type::null) {
    client->will.clear();
  }
  rpc_.watch_process(client->id, !client->will.empty());
  std::string scratch;
  if (const auto name = request.values[0].string(scratch)) client->name = *name;
  if (const auto errors = request.values[1].boolean()) rpc_.set_reports_errors(client->id, *errors);
  if (const auto bytes = request.values[3].integer()) {
    rpc_.set_max_line_bytes(client->id, static_cast<size_t>(*bytes));
  }
  std::string out;
  json::Writer json(out);
  json.begin_object().key("protocol").integer(1);
  json.key("client_id").integer(static_cast<int64_t>(client->id));
  json.key("node_id").string(identity_.node).key("instance_id").string(identity_.instance_id);
  json.key("agent_version").string(node::kVersion).key("limits");
  put_limits(json, client->id);
  json.end_object();
  requests_.done(request, out);
}

// Every limit that this client can meet, by the name that PROTOCOL.md gives it (3.1.3).
void LocalApi::put_limits(json::Writer& json, ipc::ClientId client) {
  const struct {
    const char* name;
    uint64_t value;
  } limits[] = {
      {"line_bytes", config_.socket.max_line},
      {"max_line_bytes", rpc_.max_line_bytes(client)},
      {"output_bytes", config_.socket.max_output},
      {"batch_calls", rpc::kBatchCalls},
      {"waiting_calls", rpc::kWaitingCalls},
      {"subscriptions", rpc::kSubscriptions},
      {"pattern_cost", rpc::kPatternCost},
      {"will_calls", rpc::kWillCalls},
      {"value_bytes", value_bytes()},
      {"slot_bytes", config_.outbox.slot_bytes},
      {"client_slot_bytes", config_.outbox.client_slot_bytes},
      {"event_bytes", config_.outbox.event_bytes},
      {"urgent_bytes", config_.outbox.urgent_bytes},
      {"client_event_bytes", config_.outbox.client_event_bytes},
      {"clients", config_.socket.max_clients},
      {"clients_per_user", rpc_.clients_per_user()},
  };
  json.begin_object();
  for (const auto& limit : limits) {
    json.key(limit.name).integer(static_cast<int64_t>(limit.value));
  }
  json.end_object();
}

// Of a key and its value, as they are written in the call. What can be set can also be read back:
// the answer has {"key":,"value":,"source":"agent"} around them.
size_t LocalApi::value_bytes() const {
  constexpr size_t kAroundValue = 34;
  return ipc::RpcServer::result_bytes(std::max<size_t>(config_.socket.max_line, rpc::kLineBytes)) -
         kAroundValue;
}

// key, value, ttl_ms
void LocalApi::state_set(Request& request) {
  const size_t size = request.values[0].raw().size() + request.values[1].raw().size();
  if (size > value_bytes()) {
    return requests_.refuse(
        request,
        rpc::too_large(format("key and value have %zu bytes, of at most %zu: what is longer fits "
                              "into no answer (socket.max_line sets both)",
                              size, value_bytes()),
                       value_bytes()));
  }
  if (const Client* client = find_client(request.owner)) request.user = client->peer.uid;
  state_.set(request);
}

void LocalApi::client_goodbye(Request& request) {
  if (Client* client = find_client(request.call->client)) {
    client->will.clear();
    rpc_.watch_process(client->id, false);
  }
  requests_.done(request);
}

// For what is counted by user. A will has it already: its client is gone.
void LocalApi::note_user(Request& request) {
  if (const Client* client = find_client(request.owner)) request.user = client->peer.uid;
}

void LocalApi::stroke_start(Request& request) {
  note_user(request);
  strokes_.start(request);
}

void LocalApi::stroke_update(Request& request) {
  note_user(request);
  strokes_.update(request);
}

void LocalApi::stroke_end(Request& request) {
  note_user(request);
  strokes_.end(request);
}

// category, message, details
void LocalApi::error_report(Request& request) {
  if (request.check_only) return;
  request.urgent = true;
  note_user(request);
  std::string scratch;
  const std::string channel = wire::error_events_channel(*request.values[0].string(scratch));
  event_ = "{\"type\":\"error\",\"node_id\":\"" + identity_.node + "\",\"timestamp\":\"";
  append_timestamp(loop_.clock().wall_now(), event_);
  event_.append("\",\"category\":").append(request.values[0].raw());
  event_.append(",\"message\":").append(request.values[1].raw()).append(",\"details\":");
  if (request.values[2].exists()) {
    append_compact(request.values[2], event_);
  } else {
    event_ += "{}";
  }
  event_.append(",\"instance_id\":\"").append(identity_.instance_id).append("\"}");
  // A will counts for its user only (EventBus::publish).
  const bool few = request.call == nullptr || errors_.spend(request.owner, 1, loop_.now());
  bus_.publish(request, {channel, event_, config_.outbox.max_age,
                         few ? Publication::Record::node : Publication::Record::shared});
}

// channel, event, max_age_ms, record
void LocalApi::event_publish(Request& request) {
  std::string scratch;
  const std::string_view channel = *request.values[0].string(scratch);
  const json::View event = request.values[1];
  if (channel == wire::kStrokeProgressChannel) {
    return requests_.refuse(request,
                            rpc::refused_key(channel, "progress is published by stroke.update"));
  }
  std::string_view payload = compacted(event, event_);
  if (wire::is_strict_channel(channel)) {
    const json::View type = event["type"];
    const json::View timestamp = event["timestamp"];
    if (type.type() != json::View::Type::string) {
      return requests_.refuse(
          request,
          rpc::invalid_params("event.type", "the readers of this channel need a text here"));
    }
    if (timestamp.exists() && timestamp.type() != json::View::Type::string) {
      return requests_.refuse(
          request,
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
  if (request.check_only) return;
  note_user(request);
  const bool records = request.values[3].boolean().value_or(true);
  Publication publication{channel, payload, config_.outbox.max_age,
                          records ? Publication::Record::channel : Publication::Record::no};
  if (const auto age = request.values[2].integer()) {
    publication.max_age = std::chrono::milliseconds(*age);
  }
  bus_.publish(request, publication, nullptr, nullptr, AnswerKind::subscribers);
}

// --- looking
// ----------------------------------------------------------------------------------------

// node
void LocalApi::health_get(Request& request) {
  std::string scratch;
  const auto node = request.values[0].string(scratch);
  if (!node || *node == identity_.node) {
    return requests_.done(
        request, health_result(identity_.node, heartbeat_.json(), loop_.clock().wall_now()));
  }
  operations_.begin(*request.call, make_health_operation(loop_.clock(), *node));
}

// limit, cursor
void LocalApi::system_status(Request& request) {
  if (request.call == nullptr || request.call->is_notification()) return;
  constexpr auto kMost = static_cast<int64_t>(fleet::Fleet::kMostNodes);
  fleet::Fleet::Wish wish;
  wish.client = request.call->client;
  wish.limit = static_cast<size_t>(request.values[0].integer().value_or(kMost));
  std::string scratch;
  wish.from = request.values[1].string(scratch).value_or("");
  wish.token = rpc_.defer(*request.call, Operations::kWeight);
  fleet_.ask(std::move(wish));
}

std::string_view LocalApi::own_health() const {
  return heartbeat_.json();
}

// node
void LocalApi::node_forget(Request& request) {
  std::string scratch;
  const std::string_view node = *request.values[0].string(scratch);
  if (node == identity_.node) {
    return requests_.refuse(request, rpc::conflict("this is the node that this agent runs on"));
  }
  operations_.begin(*request.call, make_forget_operation(node));
}

void LocalApi::redis_inspect(Request& request) {
  operations_.begin(*request.call, make_inspect_operation(loop_.clock()));
}

}  // namespace nb::agent
