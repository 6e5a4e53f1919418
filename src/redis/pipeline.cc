#include "redis/pipeline.h"

#include "base/text.h"
#include "redis/resp_writer.h"

namespace nb::redis {
namespace {

int64_t milliseconds(Duration duration) {
  return std::chrono::ceil<std::chrono::milliseconds>(duration).count();
}

}  // namespace

void Pipeline::expect(Kind kind, MonoTime now) {
  Waiting waiting{};
  waiting.kind = kind;
  waiting.sent = now;
  waiting_.push_back(std::move(waiting));
}

void Pipeline::select(int db, MonoTime now) {
  RespWriter(output_).command(2).arg("SELECT").arg(db);
  expect(Kind::select, now);
  db_ = db;
}

void Pipeline::greet(const Greeting& greeting, MonoTime now) {
  RespWriter resp(output_);
  if (!greeting.password.empty()) {
    // The form with a user needs Redis 6; the one without works everywhere.
    resp.command(greeting.user.empty() ? 2 : 3).arg("AUTH");
    if (!greeting.user.empty()) resp.arg(greeting.user);
    resp.arg(greeting.password);
    expect(Kind::auth, now);
  }
  resp.command(3).arg("CLIENT").arg("SETNAME").arg(greeting.client_name);
  expect(Kind::client_name, now);
  for (const int db : greeting.databases) select(db, now);
  ping(now);
}

void Pipeline::ping(MonoTime now) {
  RespWriter(output_).command(1).arg("PING");
  expect(Kind::ping, now);
  ++pings_;
}

void Pipeline::send(const outbox::Unit& unit, MonoTime now) {
  const outbox::SlotWrite* slot = unit.slot != nullptr ? &unit.slot->write : nullptr;
  const outbox::StreamEntry* entry = nullptr;
  const outbox::Message* message = nullptr;
  if (unit.record != nullptr) {
    const outbox::Event& event = unit.record->event;
    if (event.entry) entry = &*event.entry;
    if (event.message && unit.publish) message = &*event.message;
  }
  if (slot != nullptr && slot->db != db_) select(slot->db, now);
  if (slot == nullptr && entry != nullptr && entry->db != db_) select(entry->db, now);

  const bool echo = slot != nullptr && slot->echo;
  const bool expires = slot != nullptr && slot->ttl > Duration::zero();
  const int commands =
      (slot != nullptr) + echo + expires + (entry != nullptr) + (message != nullptr);
  Waiting waiting{};
  waiting.kind = Kind::unit;
  waiting.sent = now;
  waiting.unit = unit;
  waiting.transaction = commands > 1;
  waiting.replies = waiting.transaction ? commands + 2 : 1;

  RespWriter resp(output_);
  if (waiting.transaction) resp.command(1).arg("MULTI");
  int at = 0;
  if (echo) {
    resp.command(3).arg("HGET").arg(slot->key).arg(slot->fields.front().name);
    waiting.echo_at = at++;
  }
  if (slot != nullptr) {
    resp.command(2 + 2 * slot->fields.size()).arg("HSET").arg(slot->key);
    for (const outbox::Field& field : slot->fields) resp.arg(field.name).arg(field.value);
    waiting.write_at = at++;
  }
  if (expires) resp.command(3).arg("PEXPIRE").arg(slot->key).arg(milliseconds(slot->ttl));
  if (entry != nullptr) {
    const bool bounded = entry->max_length > 0;
    resp.command(3 + (bounded ? 3 : 0) + 2 * entry->fields.size()).arg("XADD").arg(entry->stream);
    // "~": whole nodes are trimmed, several times cheaper than exactly (XADD, redis.io).
    if (bounded) resp.arg("MAXLEN").arg("~").arg(static_cast<int64_t>(entry->max_length));
    resp.arg("*");
    for (const outbox::Field& field : entry->fields) resp.arg(field.name).arg(field.value);
  }
  if (message != nullptr)
    resp.command(3).arg("PUBLISH").arg(message->channel).arg(message->payload);
  if (waiting.transaction) resp.command(1).arg("EXEC");
  // A record whose message is too old and that has no entry has nothing to send: it is settled in
  // its turn, so that order holds.
  if (commands == 0) {
    resp.command(1).arg("PING");
    waiting.replies = 1;
  }
  waiting_.push_back(std::move(waiting));
  ++waiting_units_;
}

std::optional<MonoTime> Pipeline::oldest_sent() const {
  if (waiting_.empty()) return std::nullopt;
  return waiting_.front().sent;
}

std::optional<Failure> Pipeline::feed(std::string_view bytes, MonoTime now) {
  if (reader_.feed(bytes)) {
    while (const Reply reply = reader_.next()) {
      if (waiting_.empty()) {
        return Failure{Trouble::rubbish, "a reply that nothing was asked for"};
      }
      if (auto failure = handle(*reply, now)) return failure;
    }
  }
  if (reader_.fault() != nullptr) return Failure{Trouble::rubbish, reader_.fault()};
  return std::nullopt;
}

std::optional<Failure> Pipeline::handle(const redisReply& reply, MonoTime now) {
  Waiting& front = waiting_.front();
  const std::string_view error = is_error(reply) ? text_of(reply) : std::string_view();
  // What concerns the whole server ends the connection, whatever it was an answer to. But the
  // client's name is a courtesy that an ACL may forbid.
  const Trouble trouble = classify(error);
  const bool forgiven = front.kind == Kind::client_name && trouble != Trouble::not_admitted;
  if (trouble != Trouble::none && !forgiven) return Failure{trouble, std::string(error)};
  switch (front.kind) {
    case Kind::auth:
      if (!error.empty()) return Failure{Trouble::wrong_password, std::string(error)};
      break;
    case Kind::client_name:
      break;
    case Kind::select:
      if (!error.empty()) return Failure{Trouble::no_database, std::string(error)};
      break;
    case Kind::ping:
      if (text_of(reply) != "PONG") {
        return Failure{Trouble::rubbish, "PING was not answered by PONG"};
      }
      --pings_;
      sink_.on_pong(now - front.sent);
      if (!greeted_) {
        greeted_ = true;
        sink_.on_greeted();
      }
      break;
    case Kind::unit:
      if (--front.replies > 0) {
        // +OK to MULTI, +QUEUED to what follows, or why a command was not queued.
        if (!error.empty() && front.error.empty()) front.error = error;
        return std::nullopt;
      }
      return settle_unit(front, reply);
  }
  waiting_.pop_front();
  return std::nullopt;
}

std::optional<Failure> Pipeline::settle_unit(Waiting& waiting, const redisReply& reply) {
  if (!waiting.error.empty()) return refuse(waiting, waiting.error);
  if (is_error(reply)) return refuse(waiting, text_of(reply));
  const auto result = [&](int index) -> const redisReply* {
    if (!waiting.transaction) return &reply;
    return reply.element[index];
  };
  if (waiting.transaction) {
    if (reply.type != REDIS_REPLY_ARRAY) {
      return Failure{Trouble::rubbish, "EXEC was not answered by an array"};
    }
    const int last = waiting.write_at > waiting.echo_at ? waiting.write_at : waiting.echo_at;
    if (reply.elements < 2 || static_cast<int>(reply.elements) <= last) {
      return Failure{Trouble::rubbish, "EXEC was answered by too few replies"};
    }
    for (size_t i = 0; i < reply.elements; ++i) {
      const redisReply& inner = *reply.element[i];
      if (!is_error(inner)) continue;
      if (const Trouble trouble = classify(text_of(inner)); trouble != Trouble::none) {
        return Failure{trouble, std::string(text_of(inner))};
      }
      return refuse(waiting, text_of(inner));
    }
  }
  SlotEcho echo;
  if (waiting.write_at >= 0) {
    // HSET answers how many fields are new: all of them if the key was not there.
    const auto fields = static_cast<long long>(waiting.unit.slot->write.fields.size());
    echo.existed = result(waiting.write_at)->integer < fields;
  }
  if (waiting.echo_at >= 0) echo.previous = text_of(*result(waiting.echo_at));
  const outbox::Unit unit = waiting.unit;
  waiting_.pop_front();
  --waiting_units_;
  sink_.on_stored(unit, echo);
  return std::nullopt;
}

std::optional<Failure> Pipeline::refuse(Waiting& waiting, std::string_view error) {
  const outbox::Unit unit = waiting.unit;
  const std::string words(error);
  waiting_.pop_front();
  --waiting_units_;
  sink_.on_refused(unit, words);
  return std::nullopt;
}

}  // namespace nb::redis
