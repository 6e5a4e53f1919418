#include "agent/local_api.h"

#include <algorithm>
#include <utility>

#include "agent/mapping.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "json/writer.h"
#include "node/version.h"
#include "redis/forms.h"
#include "rpc/line_limits.h"
#include "wire/keys.h"
#include "wire/session_script.h"

namespace nb::agent {

namespace {

constexpr Duration kLossesInterval = std::chrono::seconds(1);
// INFO has the time, too, for a user that may not use TIME: in this time two clocks that differ by
// 100 ppm drift 6 ms apart.
constexpr Duration kInfoAge = std::chrono::minutes(1);
// How long a node may be missing in the list of nodes, and so be watched by no agent.
constexpr Duration kRegisterAge = std::chrono::seconds(10);

std::string note_path(const std::string& notes, const char* suffix) {
  return notes.empty() ? std::string() : notes + suffix;
}

constexpr rpc::Param kName{"name", rpc::ParamKind::plain, false, 1, 64};
constexpr rpc::Param kErrors{"errors", rpc::ParamKind::boolean};
constexpr rpc::Param kWill{"will", rpc::ParamKind::array_or_null, false, 0, rpc::kWillCalls};
constexpr rpc::Param kMaxLine{"max_line_bytes", rpc::ParamKind::integer, false, rpc::kLineBytes,
                              rpc::kMostLineBytes};
constexpr rpc::Param kDeadline{"deadline_ms", rpc::ParamKind::integer_or_null, false,
                               rpc::kLeastDeadlineMs, rpc::kMostDeadlineMs};
constexpr auto kHelloParams = rpc::takes(kName, kErrors, kWill, kMaxLine, kDeadline);

// Of one call in a will.
constexpr rpc::Param kWillMethod{"method", rpc::ParamKind::plain, true, 1, 64};
constexpr rpc::Param kWillParams{"params", rpc::ParamKind::object};
constexpr auto kWillCallParams = rpc::takes(kWillMethod, kWillParams);

// The result of a call in a will: its answer is not sent, but the reason for a refusal is kept.
class WillReply final : public rpc::Reply {
 public:
  void answer(std::string_view) override {}
  void refuse(const rpc::Error& why) override { error = why; }
  rpc::Token put_off(size_t) override { return 0; }
  bool is_wanted() const override { return false; }

  std::optional<rpc::Error> error;
};

}  // namespace

constexpr rpc::Method LocalApi::kMethods[] = {
    rpc::method<&LocalApi::stats>("agent.stats", {}, rpc::Right::read, rpc::kReads),
    rpc::method<&LocalApi::hello>("client.hello", kHelloParams, rpc::Right::none, rpc::kReads),
    rpc::method<&LocalApi::goodbye>("client.goodbye", {}, rpc::Right::none, rpc::kReads),
};

LocalApi::LocalApi(const Parts& parts, const config::Config& config)
    : loop_(parts.loop),
      log_(parts.log),
      identity_(parts.identity),
      outbox_(parts.outbox),
      link_(parts.link),
      heartbeat_(parts.heartbeat),
      lease_(parts.lease),
      watch_(parts.watch),
      config_(config),
      enabled_(!config.socket.path.empty()),
      db_(config.redis.db_for("health").value()),
      started_(parts.loop.now()),
      rpc_(parts.loop, parts.log, server_options(config, parts.sources.environment, parts.log),
           ipc::RpcEvents{
               Delegate<void(rpc::Call&, json::View)>::to<&rpc::Dispatcher::dispatch>(&dispatcher_),
               Delegate<void(ipc::ClientId, const ipc::Peer&)>::to<&LocalApi::on_open>(this),
               Delegate<void(ipc::ClientId, ipc::Departure)>::to<&LocalApi::on_close>(this),
               Delegate<void(ipc::ClientId, bool&)>::to<&LocalApi::on_may_yield>(this)}),
      subscriber_(
          parts.loop, parts.log, link_options(config),
          redis::SubscriberEvents{
              Delegate<void(std::string_view, std::string_view,
                            std::string_view)>::to<&cell::Listeners::on_remote>(&listeners_),
              Delegate<void(WallTime, WallTime)>::to<&cell::Listeners::on_gap>(&listeners_),
              Delegate<void(redis::LinkState)>::to<&cell::Listeners::on_remote_state>(&listeners_)},
          parts.make_transport),
      reader_(parts.loop, link_options(config), db_, parts.make_transport),
      scripts_(parts.loop, link_options(config), db_,
               {{wire::kSessionScript, sizeof wire::kSessionScript - 1}, wire::kSessionScriptSha1},
               parts.make_transport),
      pruner_(parts.loop, parts.log, reader_, parts.link),
      writes_(parts.loop, rpc_, parts.outbox, parts.link),
      operations_(parts.loop, rpc_, reader_, parts.link),
      clock_reader_(parts.loop, parts.link, db_),
      bus_filter_(parts.log, identity_, config, clock_reader_),
      listeners_(parts.loop, parts.log, identity_, rpc_, parts.link, subscriber_, reader_,
                 bus_filter_),
      events_(parts.loop, identity_, writes_, listeners_, config,
              cell::Events::About::to<&LocalApi::about>(this)),
      deadlines_(parts.loop, parts.log, identity_, events_, config,
                 {Delegate<wire::EventClient(rpc::ClientId)>::to<&LocalApi::about>(this),
                  Delegate<cell::Deadlines::Unread(rpc::ClientId)>::to<&LocalApi::unread>(this)}),
      deaths_(parts.loop, parts.log, identity_, outbox_, events_, config),
      bus_(parts.loop, bus_filter_, events_, config),
      robot_(parts.loop, parts.log, identity_, events_, writes_, config,
             note_path(parts.notes, ".robot")),
      stroke_(parts.loop, parts.log, identity_, events_, writes_, config,
              note_path(parts.notes, ".session")),
      errors_(parts.loop, identity_, events_, config),
      state_watch_(parts.loop, rpc_, parts.link, reader_, parts.outbox, db_, link_options(config),
                   parts.make_transport),
      state_(writes_, operations_, parts.outbox, state_watch_, config),
      sessions_(parts.loop, rpc_, operations_, scripts_, identity_, config,
                cell::Sessions::NameOf::to<&LocalApi::name_of>(this)),
      look_(parts.loop, reader_, rpc_, operations_, identity_.node,
            Delegate<std::string_view()>::to<&LocalApi::own_health>(this),
            Delegate<bool()>::to<&fleet::WatchService::is_watched>(&parts.watch)),
      config_view_(parts.loop, rpc_, parts.sources),
      losses_timer_(parts.loop, Delegate<void()>::to<&LocalApi::tell_losses>(this)) {
  // In the order in which an error lists the methods that a will may hold.
  dispatcher_.add(cell::Robot::kMethods, &robot_);
  dispatcher_.add(cell::Stroke::kMethods, &stroke_);
  dispatcher_.add(cell::Errors::kMethods, &errors_);
  dispatcher_.add(cell::Events::kMethods, &events_);
  dispatcher_.add(cell::Bus::kMethods, &bus_);
  dispatcher_.add(cell::State::kMethods, &state_);
  dispatcher_.add(cell::StateWatch::kMethods, &state_watch_);
  dispatcher_.add(cell::Sessions::kMethods, &sessions_);
  dispatcher_.add(cell::Listeners::kMethods, &listeners_);
  dispatcher_.add(cell::Look::kMethods, &look_);
  dispatcher_.add(ConfigView::kMethods, &config_view_);
  dispatcher_.add(kMethods, this);
  dispatcher_.set_on_push(
      Delegate<void(const rpc::Call&)>::to<&cell::Deadlines::on_push>(&deadlines_));
  dispatcher_.set_socket_with(rpc::Dispatcher::SocketWith::to<&LocalApi::socket_with>(this));
}

LocalApi::~LocalApi() = default;

Status LocalApi::start() {
  since_ = loop_.clock().wall_now();
  register_node();
  pruner_.set_age(config_.heartbeat.forget_after);
  if (!enabled_) return {};
  return rpc_.start();
}

void LocalApi::stop() {
  robot_.finish();
  deadlines_.stop();
  deaths_.stop();
  rpc_.stop();
  listeners_.stop();
  subscriber_.stop();
  state_watch_.stop();
  look_.stop();
  config_view_.stop();
  pruner_.stop();
  reader_.stop();
  scripts_.stop();
  clients_.clear();
}

void LocalApi::reconfigure() {
  robot_.reconfigure(config_);
  stroke_.reconfigure(config_);
  errors_.reconfigure(config_);
  events_.reconfigure(config_);
  deadlines_.reconfigure(config_);
  deaths_.reconfigure(config_);
  state_.reconfigure(config_);
  subscriber_.reconfigure(link_options(config_));
  state_watch_.reconfigure(link_options(config_));
  reader_.reconfigure(link_options(config_));
  scripts_.reconfigure(link_options(config_));
  pruner_.set_age(config_.heartbeat.forget_after);
}

// When a node's health has expired, only this list still names the node, and no agent watches a
// node that is not in the list. So the entry is written again at intervals: Redis says whether it
// was still there.
void LocalApi::register_node() {
  registered_at_ = loop_.now();
  std::string about;
  json::Writer json(about);
  json.begin_object().key("instance_id").string(identity_.instance_id);
  json.key("agent_version").string(node::kVersion);
  json.key("since").string(format_timestamp(since_)).end_object();
  const outbox::FieldView fields[] = {{identity_.node, about}};
  outbox::SlotUpdate slot;
  slot.db = db_;
  slot.key = wire::kNodesKey;
  slot.fields = fields;
  rpc::Call own;
  writes_.write(own, &slot, nullptr, nullptr);
}

void LocalApi::on_link_status(const redis::LinkStatus& status) {
  writes_.on_link_status();
  if (status.state >= redis::LinkState::replaying && !was_steady_) {
    reader_.on_server_there();
    scripts_.on_server_there();
    watch_.on_connected();
    clock_reader_.on_connected();
    read_back();
  }
  if (status.state == redis::LinkState::steady) reading_back_ = false;
  // Later faults are not meant: for example a server that answers writes wrongly.
  const bool unanswered = !robot_.was_read() || stroke_.is_unread();
  if (status.state == redis::LinkState::waiting && std::exchange(reading_back_, false) &&
      unanswered && status.trouble == redis::Trouble::rubbish &&
      ++bad_read_backs_ == kMostBadReadBacks) {
    log_.warning(
        "what Redis has kept of the robot and its stroke session is not read back: the answer ends "
        "the connection (%s)",
        status.words.c_str());
  }
  was_steady_ = status.state >= redis::LinkState::replaying;
  tell_of_redis(status);
}

// The programs of this computer are told at once that Redis is gone. No other program can be told.
void LocalApi::tell_of_redis(const redis::LinkStatus& status) {
  const bool gone = status.state == redis::LinkState::waiting && status.failures > 0;
  if (gone == gone_said_ || (!gone && status.state < redis::LinkState::steady)) return;
  gone_said_ = gone;
  const wire::EventSource source{identity_.node, identity_.instance_id, loop_.clock().wall_now()};
  on_node_event(
      wire::node_events_channel(identity_.node),
      gone ? wire::redis_gone_event(source, status.words) : wire::redis_back_event(source));
}

// These questions go out on the link itself, since they have to be answered before the first write.
// So an answer that ends the connection (a value of another program, of many megabytes) must not be
// requested at each new one.
void LocalApi::read_back() {
  if (bad_read_backs_ >= kMostBadReadBacks) return;
  reading_back_ = true;
  ask_for_info();
  robot_.read_back(link_);
  stroke_.read_back(link_);
}

void LocalApi::ask_for_info() {
  const std::string_view info[] = {"INFO", "server"};
  info_asked_ = loop_.now();
  const auto done = Delegate<void(const redis::QueryReply&)>::to<&LocalApi::on_server_info>(this);
  link_.query(db_, info, done, redis::Link::QueryOrder::ahead_of_writes);
}

void LocalApi::on_beat_stored() {
  if (loop_.now() - registered_at_ >= kRegisterAge) register_node();
  if (loop_.now() - info_asked_ >= kInfoAge) ask_for_info();
}

// The server's report about its clock, and its run. A server that was started again may have lost
// data. If it does not report its run id, missing keys of the agent still show the loss.
void LocalApi::on_server_info(const redis::QueryReply& reply) {
  if (!reply.reply.is_string()) return;
  const auto time = redis::find_in_info(reply.reply.string(), "server_time_usec");
  if (const auto us = parse_number<int64_t>(time.value_or("")); us && *us > 0) {
    clock_reader_.take(WallTime(std::chrono::microseconds(*us)), info_asked_);
    outbox_.hear_clock(static_cast<uint64_t>(*us) / 1000, loop_.now());
  }
  constexpr size_t kMostDigits = 64;
  const auto id = redis::find_in_info(reply.reply.string(), "run_id");
  if (!id || id->empty() || id->size() > kMostDigits || *id == run_id_) return;
  const bool first = run_id_.empty();
  run_id_ = *id;
  if (first) return;
  watch_.on_server_changed();
  outbox_.rewrite_all();
  link_.wake();
}

// Logged once, and not at each beat, for a server that evicts or deletes all the time.
void LocalApi::on_lost() {
  watch_.on_keys_lost();
  constexpr Duration kQuiet = std::chrono::minutes(10);
  const MonoTime now = loop_.now();
  if (lost_said_ != MonoTime::min() && now - lost_said_ < kQuiet) return;
  lost_said_ = now;
  log_.notice(
      "redis has lost what was written; writing everything again (said at most once in ten "
      "minutes; if it goes on, something there evicts or deletes)");
}

void LocalApi::on_publish(std::string_view channel, std::string_view payload, bool is_notice) {
  listeners_.on_publish(channel, payload, is_notice);
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

std::string_view LocalApi::socket_with(rpc::Right right) {
  const ipc::ServerOptions& sockets = rpc_.options();
  if (sockets.rights.has(right)) return sockets.path;
  for (const ipc::SocketOptions& socket : sockets.further) {
    if (socket.rights.has(right)) return socket.path;
  }
  return {};
}

std::string_view LocalApi::name_of(ipc::ClientId id) {
  return about(id).name;
}

wire::EventClient LocalApi::about(ipc::ClientId id) {
  const Client* client = find_client(id);
  return client != nullptr ? wire::EventClient{client->name, client->peer.pid}
                           : wire::EventClient{};
}

cell::Deadlines::Unread LocalApi::unread(ipc::ClientId id) {
  if (rpc_.is_held(id)) return cell::Deadlines::Unread::held;
  return rpc_.is_unread(id) ? cell::Deadlines::Unread::some : cell::Deadlines::Unread::nothing;
}

// A client that has a will, a deadline or subscriptions is connected on purpose, even if it is
// silent.
void LocalApi::on_may_yield(ipc::ClientId id, bool& needed) {
  const Client* client = find_client(id);
  needed = (client != nullptr && !client->will.empty()) || deadlines_.has_deadline(id) ||
           listeners_.subscriptions_of(id) > 0 || state_watch_.has_watch(id);
}

void LocalApi::on_close(ipc::ClientId id, ipc::Departure departure) {
  const bool had_deadline = deadlines_.has_deadline(id);
  listeners_.on_client_closed(id);
  state_watch_.on_client_closed(id);
  operations_.on_client_closed(id);
  sessions_.on_client_closed(id);
  look_.on_client_closed(id);
  deadlines_.on_client_closed(id);
  writes_.on_client_closed(id);
  events_.on_client_closed(id);
  if (Client* client = find_client(id)) {
    // If the agent has closed the connection, the client's process may live.
    const bool matters = !client->will.empty() || had_deadline;
    if (departure == ipc::Departure::client && matters) see_to_death(*client);  // in its name
    outbox_.client_gone(id, client->peer.uid);
    clients_.erase(clients_.begin() + (client - clients_.data()));
  }
}

void LocalApi::see_to_death(const Client& gone) {
  const bool has_will = !gone.will.empty();
  log_.warning(LogAbout(static_cast<uint64_t>(gone.peer.pid)),
               "client %s (pid %d) has gone without saying good-bye%s",
               gone.name.empty() ? "without a name" : gone.name.c_str(), gone.peer.pid,
               has_will ? ": its last will is carried out" : "");
  if (has_will) carry_out(gone);
  deaths_.add({{gone.id, gone.peer.uid}, gone.name, gone.peer.pid, has_will},
              rpc_.take_process(gone.id));
}

std::optional<rpc::Error> LocalApi::check_will(const rpc::Caller& who, json::View will) {
  size_t index = 0;
  for (const json::View element : will.elements()) {
    const std::string place = format("will[%zu]", index++);
    if (!element.is(json::View::Type::object)) {
      return rpc::invalid_params(place, "expected an object with method and params");
    }
    json::View values[kWillCallParams.size()];
    if (auto error = rpc::check_params(element, kWillCallParams, values)) {
      rpc::add_place(*error, place + ".");
      return error;
    }
    WillReply reply;
    rpc::Call call(who, reply, rpc::Call::Origin::check, loop_.now());
    std::string scratch;
    call.method = *values[0].string(scratch);
    if (!dispatcher_.dispatch_will(call, values[1])) {
      return rpc::invalid_params(place + ".method",
                                 "allowed in a will are " + dispatcher_.names_in_will());
    }
    if (reply.error) {
      const bool forbidden = reply.error->code == rpc::kForbidden;
      rpc::add_place(*reply.error, place + (forbidden ? ".method" : ".params."));
      return reply.error;
    }
  }
  return std::nullopt;
}

void LocalApi::carry_out(const Client& gone) {
  for (const json::View element : json::View::of(gone.will).elements()) {
    WillReply reply;
    rpc::Call call({gone.id, gone.peer.uid, gone.rights}, reply, rpc::Call::Origin::will,
                   loop_.now());
    call.urgent = true;
    std::string scratch;
    call.method = *element["method"].string(scratch);
    dispatcher_.dispatch_will(call, element["params"]);
    if (reply.error) {
      log_.warning(LogAbout(static_cast<uint64_t>(gone.peer.pid)),
                   "of the last will, %.*s was refused: %s", static_cast<int>(call.method.size()),
                   call.method.data(), reply.error->message.c_str());
    }
  }
}

// A client is told at once that events of its own were dropped, and then at most once a second.
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

void LocalApi::hello(rpc::Call& call) {
  Client* client = find_client(call.who.client);
  if (client == nullptr) return;
  const json::View deadline = call[kDeadline];
  if (deadline.integer() && !call.who.rights.has(rpc::Right::robot)) {
    return call.refuse(rpc::forbidden("deadline_ms of client.hello", rpc::Right::robot,
                                      socket_with(rpc::Right::robot)));
  }
  std::string scratch;
  const std::string name_before = client->name;
  if (const auto name = call[kName].string(scratch)) client->name = *name;
  const json::View will = call[kWill];
  if (will.is(json::View::Type::array)) {
    // Checked under the new name, since a will may contain the name of its client.
    if (const auto error = check_will(call.who, will)) {
      client->name = name_before;
      return call.refuse(*error);
    }
    client->will.clear();
    append_compact(will, client->will);
    client->rights = call.who.rights;
  } else if (will.is(json::View::Type::null)) {
    client->will.clear();
  }
  if (const auto errors = call[kErrors].boolean()) rpc_.set_reports_errors(client->id, *errors);
  if (const auto bytes = call[kMaxLine].integer()) {
    rpc_.set_max_line_bytes(client->id, static_cast<size_t>(*bytes));
  }
  if (deadline.exists()) {
    deadlines_.set(call.who, std::chrono::milliseconds(deadline.integer().value_or(0)));
  }
  rpc_.watch_process(client->id, !client->will.empty() || deadlines_.has_deadline(client->id));
  std::string out;
  json::Writer json(out);
  json.begin_object().key("protocol").integer(1);
  json.key("client_id").integer(static_cast<int64_t>(client->id));
  json.key("node_id").string(identity_.node).key("instance_id").string(identity_.instance_id);
  json.key("agent_version").string(node::kVersion).key("rights").begin_array();
  for (size_t i = 1; i < std::size(rpc::kRightNames); ++i) {
    if (call.who.rights.has(static_cast<rpc::Right>(i))) json.string(rpc::kRightNames[i]);
  }
  json.end_array().key("limits");
  put_limits(json, client->id);
  json.end_object();
  call.answer(out);
}

// Every limit that this client can meet, by the name that PROTOCOL.md gives it (3.1.3).
void LocalApi::put_limits(json::Writer& json, ipc::ClientId client) {
  const ipc::SocketOptions& socket = rpc_.socket_of(client);
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
      {"value_bytes", state_.value_bytes()},
      {"slot_bytes", config_.outbox.slot_bytes},
      {"client_slot_bytes", config_.outbox.client_slot_bytes},
      {"event_bytes", config_.outbox.event_bytes},
      {"urgent_bytes", config_.outbox.urgent_bytes},
      {"client_event_bytes", config_.outbox.client_event_bytes},
      {"clients", socket.max_clients},
      {"clients_per_user", rpc_.clients_per_user(client)},
      {"calls_per_second", socket.calls_per_second},
      {"events_per_second", socket.events_per_second},
  };
  json.begin_object();
  for (const auto& limit : limits) {
    json.key(limit.name).integer(static_cast<int64_t>(limit.value));
  }
  json.end_object();
}

void LocalApi::goodbye(rpc::Call& call) {
  if (Client* client = find_client(call.who.client)) {
    client->will.clear();
    rpc_.watch_process(client->id, false);
  }
  deadlines_.on_goodbye(call.who.client);
  call.answer();
}

std::string_view LocalApi::own_health() const {
  return heartbeat_.json();
}

}  // namespace nb::agent
