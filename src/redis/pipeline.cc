#include "redis/pipeline.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "redis/resp_writer.h"

namespace nb::redis {

using namespace std::string_view_literals;  // built for size, only these know their length

namespace {

int64_t milliseconds(Duration duration) {
  return std::chrono::ceil<std::chrono::milliseconds>(duration).count();
}

// That the agent may not write its own health is a fault of the set-up, and its link is of no use.
// A permission that a client's key or channel lacks must not cost the others theirs.
bool ends_the_connection(Trouble trouble, const outbox::Unit& unit) {
  if (trouble != Trouble::no_permission) return trouble != Trouble::none;
  return unit.slot != nullptr && unit.slot->echo;
}

}  // namespace

bool authenticate(std::string& output, const Greeting& greeting) {
  const bool named = !greeting.user.empty();
  if (!named && greeting.password.empty()) return false;
  // The form with a user needs Redis 6; the one without works everywhere. A user that needs no
  // password (nopass) takes any.
  RespWriter resp(output);
  resp.command(named ? 3 : 2).arg("AUTH"sv);
  if (named) resp.arg(greeting.user);
  resp.arg(greeting.password);
  return true;
}

void Pipeline::expect(Kind kind, MonoTime now) {
  Waiting waiting{};
  waiting.kind = kind;
  waiting.sent = now;
  waiting_.push_back(waiting);
}

void Pipeline::select(int db, MonoTime now) {
  RespWriter(output_).command(2).arg("SELECT"sv).arg(db);
  expect(Kind::select, now);
  db_ = db;
}

void Pipeline::greet(const Greeting& greeting, MonoTime now) {
  if (authenticate(output_, greeting)) expect(Kind::auth, now);
  RespWriter resp(output_);
  resp.command(3).arg("CLIENT"sv).arg("SETNAME"sv).arg(greeting.client_name);
  expect(Kind::client_name, now);
  for (const int db : greeting.databases) select(db, now);
  ping(now);
}

void Pipeline::ping(MonoTime now) {
  RespWriter(output_).command(1).arg("PING"sv);
  expect(Kind::ping, now);
  ++pings_;
}

void Pipeline::send(const outbox::Unit& unit, MonoTime now) {
  using outbox::SlotKind;
  const outbox::Slot* slot = unit.slot;
  const bool has_entry = unit.record != nullptr && unit.record->has_entry;
  if (slot != nullptr && slot->db != db_) select(slot->db, now);
  if (slot == nullptr && has_entry && unit.record->db != db_) select(unit.record->db, now);
  // There and back again, so that what follows is in the right database even if this is refused.
  const bool elsewhere = has_entry && unit.record->db != db_;

  const bool hash = slot != nullptr && slot->kind == SlotKind::hash;
  const bool echo = hash && slot->echo;
  const bool expires = hash && slot->ttl > Duration::zero();
  const int commands =
      (slot != nullptr) + echo + expires + (elsewhere ? 3 : has_entry) + unit.publish;
  Waiting waiting{};
  waiting.kind = Kind::unit;
  waiting.sent = now;
  waiting.unit = unit;
  waiting.transaction = commands > 1;
  waiting.replies = static_cast<int8_t>(waiting.transaction ? commands + 2 : 1);

  RespWriter resp(output_);
  if (waiting.transaction) resp.command(1).arg("MULTI"sv);
  if (echo) {
    resp.command(3).arg("HGET"sv).arg(slot->key).arg(slot->fields.front().name);
    waiting.echo_at = 0;
  }
  if (hash) waiting.write_at = echo ? 1 : 0;
  if (slot != nullptr) write_slot(*slot, now);
  if (elsewhere) resp.command(2).arg("SELECT"sv).arg(unit.record->db);
  if (has_entry) write_entry(unit.record->entry());
  if (elsewhere) resp.command(2).arg("SELECT"sv).arg(db_);
  if (unit.publish) {
    const outbox::MessageView message = unit.message();
    resp.command(3).arg("PUBLISH"sv).arg(message.channel).arg(message.payload);
    waiting.publish_at = static_cast<int8_t>(commands - 1);
  }
  if (waiting.transaction) resp.command(1).arg("EXEC"sv);
  // A record whose message is too old and that has no entry has nothing to send: it is settled in
  // its turn, so that order holds.
  if (commands == 0) resp.command(1).arg("PING"sv);
  waiting_.push_back(waiting);
  ++waiting_units_;
}

void Pipeline::write_slot(const outbox::Slot& slot, MonoTime now) {
  RespWriter resp(output_);
  const Duration ttl = slot.ttl_left(now);
  const bool expires = ttl > Duration::zero();
  switch (slot.kind) {
    case outbox::SlotKind::hash:
      resp.command(2 + 2 * slot.fields.size()).arg("HSET"sv).arg(slot.key);
      for (const outbox::FieldView& field : slot.fields) resp.arg(field.name).arg(field.value);
      if (expires) resp.command(3).arg("PEXPIRE"sv).arg(slot.key).arg(milliseconds(ttl));
      break;
    case outbox::SlotKind::string:
      resp.command(expires ? 5 : 3).arg("SET"sv).arg(slot.key).arg(slot.fields.front().value);
      if (expires) resp.arg("PX"sv).arg(milliseconds(ttl));
      break;
    case outbox::SlotKind::remove:
      resp.command(2).arg("DEL"sv).arg(slot.key);
      break;
  }
}

void Pipeline::write_entry(outbox::EntryView entry) {
  RespWriter resp(output_);
  const bool bounded = entry.max_length > 0;
  resp.command(3 + (bounded ? 3 : 0) + 2 * entry.fields).arg("XADD"sv).arg(entry.stream);
  // "~": whole nodes are trimmed, several times cheaper than exactly (XADD, redis.io).
  if (bounded) resp.arg("MAXLEN"sv).arg("~"sv).arg(static_cast<int64_t>(entry.max_length));
  resp.arg("*"sv);
  for (size_t i = 0; i < 2 * entry.fields; ++i) resp.arg(entry.texts.next());
}

void Pipeline::query(uint64_t id, int db, std::span<const std::string_view> command,
                     Delegate<void(const QueryReply&)> done, MonoTime now) {
  if (db != db_) select(db, now);
  RespWriter resp(output_);
  resp.command(command.size());
  for (const std::string_view word : command) resp.arg(word);
  queries_.push_back({id, done});
  expect(Kind::query, now);
}

void Pipeline::cancel_query(uint64_t id) {
  for (size_t i = 0; i < queries_.size(); ++i) {
    if (queries_[i].id == id) queries_[i].done = {};
  }
}

void Pipeline::give_up(std::string_view words) {
  while (!queries_.empty()) {
    const Query query = queries_.front();
    queries_.pop_front();
    query.done({nullptr, words});
  }
}

std::optional<MonoTime> Pipeline::waiting_since() const {
  if (waiting_.empty()) return std::nullopt;
  return std::max(waiting_.front().sent, last_reply_);
}

std::optional<Failure> Pipeline::feed(std::string_view bytes, MonoTime now) {
  if (reader_.feed(bytes)) {
    while (const Reply reply = reader_.next()) {
      if (waiting_.empty()) {
        return Failure{Trouble::rubbish, "a reply that nothing was asked for"};
      }
      last_reply_ = now;
      if (auto failure = handle(*reply, now)) return failure;
    }
  }
  if (reader_.fault() != nullptr) return Failure{Trouble::rubbish, reader_.fault()};
  return std::nullopt;
}

// Whoever is told may send more, which may move what waits: so it is taken out first.
std::optional<Failure> Pipeline::handle(const redisReply& reply, MonoTime now) {
  const Kind kind = waiting_.front().kind;
  if (kind == Kind::unit) return settle_unit(reply);
  if (kind == Kind::query) return answer_query(reply);
  const MonoTime sent = waiting_.front().sent;
  waiting_.pop_front();
  const std::string_view error = is_error(reply) ? text_of(reply) : std::string_view();
  // What concerns the whole server ends the connection, whatever it was an answer to. But the
  // client's name is a courtesy that an ACL may forbid.
  const Trouble trouble = classify(error);
  const bool forgiven = kind == Kind::client_name && trouble != Trouble::not_admitted;
  if (trouble != Trouble::none && !forgiven) return Failure{trouble, std::string(error)};
  if (kind == Kind::auth && !error.empty()) {
    return Failure{Trouble::wrong_password, std::string(error)};
  }
  if (kind == Kind::select && !error.empty()) {
    return Failure{Trouble::no_database, std::string(error)};
  }
  if (kind == Kind::ping) {
    if (text_of(reply) != "PONG") {
      return Failure{Trouble::rubbish, "PING was not answered by PONG"};
    }
    --pings_;
    sink_.on_pong(now - sent);
    if (!std::exchange(greeted_, true)) sink_.on_greeted();
  }
  return std::nullopt;
}

std::optional<Failure> Pipeline::answer_query(const redisReply& reply) {
  const std::string_view error = is_error(reply) ? text_of(reply) : std::string_view();
  // What this user may not do concerns who asked; what the server cannot do concerns all.
  const Trouble trouble = classify(error);
  if (trouble != Trouble::none && trouble != Trouble::no_permission) {
    return Failure{trouble, std::string(error)};
  }
  waiting_.pop_front();
  const Query query = queries_.front();
  queries_.pop_front();
  query.done({&reply, error});
  return std::nullopt;
}

std::optional<Failure> Pipeline::settle_unit(const redisReply& reply) {
  Waiting& waiting = waiting_.front();
  const std::string_view error = is_error(reply) ? text_of(reply) : std::string_view();
  const Trouble trouble = classify(error);
  if (ends_the_connection(trouble, waiting.unit)) return Failure{trouble, std::string(error)};
  if (--waiting.replies > 0) {
    // +OK to MULTI, +QUEUED to what follows, or why a command was not queued.
    if (!error.empty() && unit_error_.empty()) unit_error_ = error;
    return std::nullopt;
  }
  if (!unit_error_.empty() || !error.empty()) {
    refuse(unit_error_.empty() ? error : std::string_view(unit_error_));
    return std::nullopt;
  }
  if (waiting.transaction) {
    if (reply.type != REDIS_REPLY_ARRAY) {
      return Failure{Trouble::rubbish, "EXEC was not answered by an array"};
    }
    const int last = std::max({waiting.echo_at, waiting.write_at, waiting.publish_at});
    if (reply.elements < 2 || static_cast<int>(reply.elements) <= last) {
      return Failure{Trouble::rubbish, "EXEC was answered by too few replies"};
    }
    for (size_t i = 0; i < reply.elements; ++i) {
      const redisReply& inner = *reply.element[i];
      if (!is_error(inner)) continue;
      const Trouble why = classify(text_of(inner));
      if (ends_the_connection(why, waiting.unit)) return Failure{why, std::string(text_of(inner))};
      refuse(text_of(inner));
      return std::nullopt;
    }
  }
  const auto result = [&](int index) -> const redisReply& {
    return waiting.transaction ? *reply.element[index] : reply;
  };
  SlotEcho echo;
  if (waiting.write_at >= 0) {
    // HSET answers how many fields are new: all of them if the key was not there.
    const auto fields = static_cast<long long>(waiting.unit.slot->fields.size());
    echo.existed = result(waiting.write_at).integer < fields;
  }
  if (waiting.echo_at >= 0) echo.previous = text_of(result(waiting.echo_at));
  const int64_t subscribers = waiting.publish_at >= 0 ? result(waiting.publish_at).integer : -1;
  const outbox::Unit unit = waiting.unit;
  waiting_.pop_front();
  --waiting_units_;
  sink_.on_stored(unit, echo, subscribers);
  return std::nullopt;
}

void Pipeline::refuse(std::string_view error) {
  const outbox::Unit unit = waiting_.front().unit;
  waiting_.pop_front();
  --waiting_units_;
  sink_.on_refused(unit, error);
  unit_error_.clear();
}

}  // namespace nb::redis
