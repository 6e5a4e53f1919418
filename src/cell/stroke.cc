#include "cell/stroke.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/own_file.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "base/unique_fd.h"
#include "json/writer.h"
#include "wire/keys.h"

namespace nb::cell {
namespace {

constexpr rpc::Param kTimestamp{"timestamp", rpc::ParamKind::timestamp};
constexpr rpc::Param kSession{"session_id", rpc::ParamKind::plain, false, 1, 256};

constexpr auto kProgressParams = rpc::join(wire::params_of(wire::kStrokeProgressFields),
                                           rpc::takes(rpc::kAck, rpc::kAckTimeout));
constexpr auto kStartParams = rpc::join(rpc::takes(kTimestamp), kProgressParams);
constexpr auto kUpdateParams = rpc::join(rpc::takes(kTimestamp, kSession), kProgressParams);
constexpr auto kEndParams = rpc::takes(kSession, rpc::kAck, rpc::kAckTimeout);

// Sessions that began and ended since Redis went away: memory stays bounded.
constexpr size_t kMaxEnded = 256;
// Ended sessions that the file names. The oldest are kept, since Redis shows at most one session as
// running: the one that ran when Redis went away.
constexpr size_t kMaxEndedNoted = 64;
constexpr Duration kNow = std::chrono::milliseconds(1);  // a TTL that deletes
constexpr int kRenewals = 8;                             // of a TTL, before it is over
// The size of a history entry besides its texts.
constexpr uint64_t kEntryOverhead = 64;
constexpr Duration kSaveInterval = std::chrono::milliseconds(100);

bool is_session_of(const std::string& node, std::string_view id) {
  const std::string prefix = "stroke_" + node + "_";
  return id.starts_with(prefix) && id.find_first_not_of("0123456789_", prefix.size()) == id.npos;
}

std::span<const json::View> progress_of(const rpc::Call& call) {
  return call.from(wire::kStrokeProgressFields[0].param, std::size(wire::kStrokeProgressFields));
}

}  // namespace

// Calls of stroke.update are the most frequent.
constexpr rpc::Method Stroke::kMethods[] = {
    rpc::method<&Stroke::update>("stroke.update", kUpdateParams, rpc::Right::robot,
                                 rpc::kWrites | rpc::kPushes),
    rpc::method<&Stroke::start>("stroke.start", kStartParams, rpc::Right::robot, rpc::kWrites),
    rpc::method<&Stroke::end>("stroke.end", kEndParams, rpc::Right::robot,
                              rpc::kWrites | rpc::kInWill),
};

Stroke::Stroke(uv::Loop& loop, const Log& log, const node::Identity& identity, Events& events,
               Writes& writes, const config::Config& config, std::string file)
    : loop_(loop),
      log_(log),
      identity_(identity),
      events_(events),
      writes_(writes),
      db_(config.redis.db_for("health").value()),
      file_(std::move(file)),
      sessions_(config.robot.sessions_per_hour),
      history_bytes_(config.robot.history_bytes_per_hour),
      save_timer_(loop, Delegate<void()>::to<&Stroke::save>(this)),
      renew_timer_(loop, Delegate<void()>::to<&Stroke::renew>(this)),
      record_(wire::kStrokeProgressFields) {
  reconfigure(config);
  load();
}

Stroke::~Stroke() {
  const bool noted = !ended_.empty();
  const bool stored = writes_.slots().ended_count() == 0;
  if (stored) ended_.clear();
  if (save_timer_.active() || (noted && stored)) save();
}

void Stroke::reconfigure(const config::Config& config) {
  config_ = config.robot;
  max_age_ = config.outbox.max_age;
  stream_bytes_ = config.outbox.stream_bytes;
  sessions_.set_limit(config_.sessions_per_hour);
  history_bytes_.set_limit(config_.history_bytes_per_hour);
}

// A running session expires too, but later than any pause, and its time is renewed.
Duration Stroke::running_ttl() const {
  constexpr Duration kLeast = std::chrono::hours(1);
  return std::max(config_.ended_ttl, kLeast);
}

outbox::SlotUpdate Stroke::progress_slot(const outbox::FieldView& field) const {
  outbox::SlotUpdate slot;
  slot.db = db_;
  slot.key = key_;
  slot.fields = {&field, 1};
  slot.ttl = running_ttl();
  slot.renew = slot.ttl / kRenewals;
  return slot;
}

void Stroke::set_ttl(std::string_view key, outbox::Owner owner, Duration ttl) {
  outbox::SlotUpdate slot;
  slot.db = db_;
  slot.key = key;
  slot.kind = outbox::SlotKind::expire;
  slot.ttl = ttl;
  slot.forget = true;
  rpc::Call own;
  own.who.client = owner;
  writes_.write(own, &slot, nullptr, nullptr);
}

// Of a session that is paused for long.
void Stroke::renew() {
  if (session_.empty()) return;
  if (!json_.empty()) put_progress();
  set_ttl(history_, 0, running_ttl());
  renew_timer_.start(running_ttl() / kRenewals);
}

void Stroke::load() {
  if (file_.empty()) return;
  const auto text = read_own_file(file_);
  if (!text) return;
  const json::View root = wire::stored_record(*text);
  std::string scratch;
  for (const json::Member& member : root["ended"].members()) {
    Ended ended{std::string(member.name(scratch)), {}};
    if (!is_session_of(identity_.node, ended.session)) continue;
    const auto moment = member.value.string(scratch);
    if (!moment || !parse_timestamp(*moment)) continue;
    ended.at = *moment;
    ended_before_.push_back(std::move(ended));
  }
  const auto id = root["session_id"].string(scratch);
  // A session of another node's name is not ours.
  if (!id || !is_session_of(identity_.node, *id)) return;
  session_ = *id;
  key_ = wire::stroke_progress_key(session_);
  history_ = wire::stroke_history_stream(session_);
  const json::View progress = root["progress"];
  record_.adopt(progress);
  noted_at_ = wire::time_of(progress);
  unread_ = true;
  session_bytes_ = stream_bytes_;  // the size of its history is not known
  renew_timer_.start(running_ttl() / kRenewals);
  log_.notice("stroke session %s goes on", session_.c_str());
}

void Stroke::read_back(redis::Link& link) {
  const bool goes_on = unread_ && !session_.empty();
  if (goes_on || !ended_before_.empty()) note_session();
  if (!ended_before_.empty() && link_ == nullptr) {
    link_ = &link;
    ask_about_ended();
  }
  if (!goes_on) return;
  const std::string_view command[] = {"HGET", key_, "progress"};
  // Ahead of the updates that came meanwhile, which would replace it.
  link.query(db_, command, Delegate<void(const redis::QueryReply&)>::to<&Stroke::on_read>(this),
             redis::Link::QueryOrder::ahead_of_writes);
}

void Stroke::on_read(const redis::QueryReply& reply) {
  // If the connection is gone, the next one reads; if another session runs now, the answer is of no
  // use.
  if (!reply.reply || !unread_) return;
  unread_ = false;
  if (reply.reply.is_error()) return;
  const json::View theirs = wire::stored_record(reply.reply.text());
  // The later one wins: the note that the agent made while Redis was away, or the progress that
  // Redis got just before the agent was killed. Members that an update has set since stay.
  const auto stored_at = wire::time_of(theirs);
  if (noted_at_ && (!stored_at || *noted_at_ >= *stored_at)) {
    if (!timestamp_.empty()) return;  // an update has gone out already, with all that was noted
    timestamp_ = format_timestamp(*noted_at_);
  } else if (!record_.adopt(theirs) || timestamp_.empty()) {
    return;
  }
  put_progress();
}

// One after the other: they are few, and it happens once.
void Stroke::ask_about_ended() {
  const std::string key = wire::stroke_progress_key(ended_before_.front().session);
  const std::string_view command[] = {"HGET", key, "progress"};
  link_->query(db_, command,
               Delegate<void(const redis::QueryReply&)>::to<&Stroke::on_ended_read>(this));
}

void Stroke::on_ended_read(const redis::QueryReply& reply) {
  if (!reply.reply) {  // the connection is gone: the next one asks
    link_ = nullptr;
    return;
  }
  const Ended ended = std::move(ended_before_.front());
  ended_before_.erase(ended_before_.begin());
  const json::View stored = wire::stored_record(reply.reply.text());
  if (!reply.reply.is_error() && stored.exists()) end_in_redis(ended, stored);
  save();
  if (!ended_before_.empty()) ask_about_ended();
}

// The end was accepted and never reached Redis.
void Stroke::end_in_redis(const Ended& ended, json::View stored) {
  if (!stored["is_executing"].boolean().value_or(false)) return;
  wire::Record record(wire::kStrokeProgressFields);
  record.adopt(stored);
  record.set(wire::kStrokeExecuting, std::string_view("false"));
  record.set(wire::kStrokePaused, std::string_view("false"));
  std::string progress;
  record.append_json(ended.at, identity_.node, progress);
  rpc::Call own;
  own.urgent = true;
  put_end(own, ended, progress);
}

void Stroke::put_progress() {
  write_progress();
  const outbox::FieldView progress{"progress", json_};
  rpc::Call own;
  const outbox::SlotUpdate slot = progress_slot(progress);
  writes_.write(own, &slot, nullptr, nullptr);
}

// At once, unless it was just done: the file is for a restart, and need not have each update of a
// fast stroke.
void Stroke::save_soon() {
  if (file_.empty() || save_timer_.active()) return;
  const Duration since = loop_.now() - last_save_;
  if (since >= kSaveInterval) return save();
  save_timer_.start(kSaveInterval - since);
}

void Stroke::save() {
  save_timer_.stop();
  last_save_ = loop_.now();
  if (file_.empty()) return;
  if (session_.empty() && ended_.empty() && ended_before_.empty()) {
    ::unlink(file_.c_str());
    return;
  }
  std::string text;
  json::Writer json(text);
  json.begin_object();
  if (!session_.empty()) json.key("session_id").string(session_).key("progress").raw(json_);
  json.key("ended").begin_object();
  for (const std::vector<Ended>* list : {&ended_before_, &ended_}) {
    for (const Ended& ended : *list) json.key(ended.session).string(ended.at);
  }
  json.end_object().end_object();
  const Status written = replace_own_file(file_, text);
  if (!written && !told_) {
    log_.warning("the running stroke session cannot be kept for a restart of the agent: %s",
                 written.error().message.c_str());
  }
  told_ = !written.ok();
}

// Unique, and sorting by time, whatever the clock does.
std::string Stroke::new_session_id() {
  using namespace std::chrono;
  last_start_ = std::max(loop_.clock().wall_now(), last_start_ + microseconds(1));
  const auto since_epoch = last_start_.time_since_epoch();
  const auto whole = floor<seconds>(since_epoch);
  return format("stroke_%s_%lld_%06lld", identity_.node.c_str(),
                static_cast<long long>(whole.count()),
                static_cast<long long>((since_epoch - whole).count()));
}

void Stroke::take_timestamp(json::View given) {
  wire::take_timestamp(given, loop_.clock().wall_now(), timestamp_);
}

void Stroke::write_progress() {
  json_.clear();
  record_.append_json(timestamp_, identity_.node, json_);
}

wire::ProgramSource Stroke::source_at(std::string_view timestamp) const {
  return {identity_.node, identity_.instance_id, timestamp};
}

bool Stroke::is_running(rpc::Call& call, json::View session) {
  std::string scratch;
  const auto wanted = session.string(scratch);
  if (!session_.empty() && (!wanted || *wanted == session_)) return true;
  if (session_.empty()) {
    call.refuse(rpc::not_found("no stroke session runs on this node: call stroke.start first"));
  } else {
    call.refuse(rpc::not_found(format("the stroke session that runs is %s", session_.c_str())));
  }
  return false;
}

void Stroke::start(rpc::Call& call) {
  if (!progress_of(call)[wire::kStrokeTotal].exists()) {
    return call.refuse(rpc::invalid_params("total_strokes", "is required and missing"));
  }
  if (call.is_check()) return;
  call.urgent = true;
  if (writes_.slots().ended_count() >= kMaxEnded) {
    return call.refuse(
        rpc::too_many("too many ended stroke sessions wait to be stored", kMaxEnded));
  }
  if (!sessions_.spend(call.who.user, 1, loop_.now())) {
    return call.refuse(
        rpc::too_many("the programs of this user have started as many stroke "
                      "sessions within an hour as [robot] sessions_per_hour allows",
                      static_cast<size_t>(sessions_.limit())));
  }
  take_timestamp(call[kTimestamp]);
  if (!session_.empty()) {
    rpc::Call before;
    before.who = call.who;
    before.urgent = true;
    end_session(before);
  }
  record_.reset();
  record_.set(wire::kStrokeExecuting, std::string_view("true"));
  record_.update(progress_of(call));
  session_ = new_session_id();
  session_bytes_ = 0;
  renew_timer_.start(running_ttl() / kRenewals);
  unread_ = false;
  key_ = wire::stroke_progress_key(session_);
  history_ = wire::stroke_history_stream(session_);
  write_progress();
  wire::write_session_start(source_at(timestamp_), session_, record_, event_);
  const outbox::FieldView progress{"progress", json_};
  outbox::SlotUpdate slot = progress_slot(progress);
  const std::string result = "{\"session_id\":\"" + session_ + "\"}";
  if (!events_.send(call,
                    {wire::kStrokeSessionChannel, event_, max_age_, Publication::Record::node},
                    &slot, nullptr, AnswerKind::given, result)) {
    session_.clear();
  }
  note_session();
  save();
}

void Stroke::update(rpc::Call& call) {
  if (call.is_check() || !is_running(call, call[kSession])) return;
  record_.update(progress_of(call));
  uint64_t bytes = kEntryOverhead;
  for (const wire::StrokeField field : {wire::kStrokeIdx, wire::kStrokePoseIdx,
                                        wire::kStrokeDescriptionL, wire::kStrokeDescriptionR}) {
    bytes += record_.json(field).size();
  }
  if (!history_bytes_.spend(call.who.user, bytes, loop_.now())) {
    record_.take_back(progress_of(call));
    return call.refuse(
        rpc::queue_full("the programs of this user have added as much to the histories of "
                        "stroke sessions within an hour as [robot] history_bytes_per_hour "
                        "allows",
                        static_cast<size_t>(history_bytes_.limit())));
  }
  take_timestamp(call[kTimestamp]);
  write_progress();
  wire::write_progress_update(source_at(timestamp_), session_, record_, event_);
  const std::string description_l = record_.text(wire::kStrokeDescriptionL);
  const std::string description_r = record_.text(wire::kStrokeDescriptionR);
  const outbox::FieldView fields[] = {
      {"stroke_idx", record_.json(wire::kStrokeIdx)},
      {"pose_idx", record_.json(wire::kStrokePoseIdx)},
      {"description_l", description_l},
      {"description_r", description_r},
      {"node_id", identity_.node},
  };
  const outbox::EntryUpdate entry{db_,    history_,      config_.history_length,
                                  fields, stream_bytes_, running_ttl()};
  const outbox::FieldView progress{"progress", json_};
  outbox::SlotUpdate slot = progress_slot(progress);
  if (events_.send(call, {wire::kStrokeProgressChannel, event_, max_age_}, &slot, &entry)) {
    session_bytes_ = std::min(session_bytes_ + bytes, stream_bytes_);
    return save_soon();
  }
  record_.take_back(progress_of(call));
  write_progress();
}

void Stroke::end(rpc::Call& call) {
  if (call.is_check()) return;
  // A will ends the running session, if there is one.
  if (call.is_will() && session_.empty()) return;
  if (!is_running(call, call[kSession])) return;
  take_timestamp({});
  call.urgent = true;
  end_session(call);
}

void Stroke::end_session(rpc::Call& call) {
  record_.set(wire::kStrokeExecuting, std::string_view("false"));
  record_.set(wire::kStrokePaused, std::string_view("false"));
  write_progress();
  Ended ended{session_, timestamp_};
  // Those before it have reached Redis.
  if (writes_.slots().ended_count() == 0) ended_.clear();
  if (!put_end(call, ended, json_)) return;
  const MonoTime now = loop_.now();
  in_redis_.add(session_, call.who.user, session_bytes_ + json_.size(), now + config_.ended_ttl);
  while (const auto session = in_redis_.take_excess(config_.ended_bytes, now)) {
    set_ttl(wire::stroke_progress_key(*session), call.who.client, kNow);
    set_ttl(wire::stroke_history_stream(*session), call.who.client, kNow);
  }
  renew_timer_.stop();
  session_.clear();
  unread_ = false;
  note_session();
  save();
}

bool Stroke::put_end(rpc::Call& call, const Ended& ended, std::string_view progress) {
  wire::write_session_end(source_at(ended.at), ended.session, event_);
  const std::string key = wire::stroke_progress_key(ended.session);
  const outbox::FieldView field{"progress", progress};
  outbox::SlotUpdate slot = progress_slot(field);
  slot.key = key;
  slot.ttl = config_.ended_ttl;
  slot.renew = {};
  slot.forget = true;  // it goes on in Redis only
  if (!events_.send(call,
                    {wire::kStrokeSessionChannel, event_, max_age_, Publication::Record::node},
                    &slot)) {
    return false;
  }
  set_ttl(wire::stroke_history_stream(ended.session), call.who.client, config_.ended_ttl);
  if (ended_.size() < kMaxEndedNoted) ended_.push_back(ended);
  return true;
}

// For system.status, which would otherwise have to search all sessions of the past.
void Stroke::note_session() {
  const outbox::FieldView fields[] = {{identity_.node, session_}};
  outbox::SlotUpdate slot;
  slot.db = db_;
  slot.key = wire::kStrokesKey;
  slot.fields = fields;
  rpc::Call own;
  writes_.write(own, &slot, nullptr, nullptr);
}

}  // namespace nb::cell
