#include "redis/pipeline.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/text.h"
#include "redis/resp_writer.h"
#include "wire/repeated.h"
#include "wire/stream_id.h"

namespace nb::redis {

using namespace std::string_view_literals;  // built for size, only these know their length

namespace {

int64_t milliseconds(Duration duration) {
  return std::chrono::ceil<std::chrono::milliseconds>(duration).count();
}

enum Part : uint8_t { kValue, kEntry, kMessage };

Part part_of(Command command) {
  if (command == Command::xadd || command == Command::expire_stream) return kEntry;
  return command == Command::publish ? kMessage : kValue;
}

// An entry's id as Redis reads it; "*": Redis chooses.
class IdText {
 public:
  std::string_view of(outbox::EntryId id) {
    if (!id.is_given()) return "*"sv;
    char* end = std::to_chars(text_, text_ + kDigits, id.ms).ptr;
    *end++ = '-';
    end = std::to_chars(end, end + kDigits, id.number).ptr;
    return {text_, static_cast<size_t>(end - text_)};
  }

 private:
  static constexpr size_t kDigits = 20;  // of the largest number
  char text_[2 * kDigits + 1];
};

// Whether this is the entry, as XREVRANGE gives it. Another writer may have used the same id.
bool is_entry(Reply found, outbox::EntryView entry) {
  const Reply texts = found[0][1];
  if (texts.size() != 2 * entry.fields) return false;
  for (const Reply text : texts.elements()) {
    if (text.string() != entry.texts.next()) return false;
  }
  return true;
}

bool is_of_the_id(std::string_view error) {
  return error.starts_with("ERR The ID specified in XADD is equal or smaller"sv);
}

Failure wrong_form(std::string_view command) {
  return {Trouble::rubbish, std::string(command) + " is answered by a reply of another form"};
}

bool is_refusal(std::string_view error) {
  const Trouble trouble = classify(error);
  return trouble == Trouble::none || trouble == Trouble::no_permission;
}

}  // namespace

// True if a SELECT goes first.
bool Pipeline::select(int db, std::string& output) {
  if (db == db_) return false;
  RespWriter(output).command(2).arg("SELECT"sv).arg(db);
  db_ = db;
  Waiting waiting{};
  waiting.kind = Kind::select;
  waiting_.push_back(waiting);
  return true;
}

uint32_t Pipeline::send(const outbox::Unit& unit, std::string& output, MonoTime now) {
  using outbox::SlotKind;
  const outbox::Slot* slot = unit.slot;
  const bool has_entry = unit.record != nullptr && unit.record->has_entry;
  bool selects = false;
  if (slot != nullptr) selects = select(slot->db, output);
  if (slot == nullptr && has_entry) selects = select(unit.record->db, output);
  // SELECT there and back again: what follows is in the right database even if XADD is refused.
  const bool elsewhere = has_entry && unit.record->db != db_;

  Waiting& waiting = waiting_.push_back({});
  waiting.kind = Kind::unit;
  waiting.sent = now;
  waiting.unit = unit;
  if (slot != nullptr) {
    const bool hash = slot->kind == SlotKind::hash;
    if (hash && slot->echo) waiting.add(Command::hget);
    waiting.add(hash ? Command::hset
                : slot->kind == SlotKind::string
                    ? slot->if_missing ? Command::set_if_missing : Command::set
                : slot->kind == SlotKind::expire ? Command::pexpire
                                                 : Command::del);
    if (unit.expire) waiting.add(Command::pexpire);
  }
  const uint8_t of_the_value = waiting.commands;
  if (elsewhere) waiting.add(Command::select);
  if (has_entry && unit.in_doubt) waiting.add(Command::find_entry);
  if (has_entry) waiting.add(Command::xadd);
  if (has_entry && unit.stream.expire) waiting.add(Command::expire_stream);
  if (elsewhere) waiting.add(Command::select);
  if (unit.publish) waiting.add(Command::publish);
  // A record without an entry whose message is too old has nothing to send. A PING keeps its place,
  // so that records are settled in their order.
  if (waiting.commands == 0) waiting.add(Command::ping);
  waiting.queued = unit.apart || !no_transaction_.empty() ? of_the_value : waiting.commands;
  if (waiting.queued < 2) waiting.queued = 0;

  RespWriter resp(output, prefix_);
  if (waiting.queued > 0) resp.command(1).arg("MULTI"sv);
  bool there = false;  // in the entry's database
  for (uint8_t i = 0; i < waiting.commands; ++i) {
    switch (waiting.command[i]) {
      case Command::hget:
        resp.command(3).arg("HGET"sv).key(slot->key).arg(slot->fields.front().name);
        break;
      case Command::hset:
      case Command::set:
      case Command::set_if_missing:
      case Command::del:
        write_slot(*slot, resp, now);
        break;
      case Command::pexpire:
        resp.command(3).arg("PEXPIRE"sv).key(slot->key).arg(milliseconds(slot->ttl));
        break;
      case Command::select:
        resp.command(2).arg("SELECT"sv).arg(there ? db_ : unit.record->db);
        there = !there;
        break;
      case Command::find_entry: {
        // XRANGE would do as well. Users of redis/users.acl have had XREVRANGE for longer.
        IdText text;
        const std::string_view id = text.of(unit.id);
        resp.command(6).arg("XREVRANGE"sv).key(unit.record->entry().stream).arg(id).arg(id);
        resp.arg("COUNT"sv).arg(1);
        break;
      }
      case Command::xadd:
        write_entry(unit, resp);
        break;
      case Command::expire_stream:
        resp.command(3).arg("PEXPIRE"sv).key(unit.record->entry().stream);
        resp.arg(milliseconds(unit.record->ttl));
        break;
      case Command::publish: {
        const outbox::MessageView message = unit.message();
        resp.command(3).arg("PUBLISH"sv).key(message.channel);
        if (unit.in_doubt) {
          resp.arg(std::string(message.payload) += wire::kRepeated);
        } else {
          resp.arg(message.payload);
        }
        break;
      }
      case Command::ping:
        resp.command(1).arg("PING"sv);
        break;
      case Command::multi:
        break;
    }
    if (i + 1 == waiting.queued) resp.command(1).arg("EXEC"sv);
  }
  ++waiting_units_;
  return waiting.replies() + selects;
}

void Pipeline::write_slot(const outbox::Slot& slot, RespWriter& resp, MonoTime now) {
  const Duration ttl = slot.ttl_left(now);
  const bool expires = ttl > Duration::zero();
  switch (slot.kind) {
    case outbox::SlotKind::hash:
      resp.command(2 + 2 * slot.fields.size()).arg("HSET"sv).key(slot.key);
      for (const outbox::FieldView& field : slot.fields) resp.arg(field.name).arg(field.value);
      break;
    case outbox::SlotKind::string:
      resp.command(3 + (expires ? 2 : 0) + slot.if_missing).arg("SET"sv).key(slot.key);
      resp.arg(slot.fields.front().value);
      if (expires) resp.arg("PX"sv).arg(milliseconds(ttl));
      if (slot.if_missing) resp.arg("NX"sv);
      break;
    case outbox::SlotKind::remove:
      resp.command(2).arg("DEL"sv).key(slot.key);
      break;
    case outbox::SlotKind::expire:
      break;
  }
}

void Pipeline::write_entry(const outbox::Unit& unit, RespWriter& resp) {
  outbox::EntryView entry = unit.record->entry();
  const uint64_t max_length = unit.stream.max_length;
  const bool bounded = max_length > 0;
  resp.command(3 + (bounded ? 3 : 0) + 2 * entry.fields).arg("XADD"sv).key(entry.stream);
  // "~": whole nodes are trimmed, several times cheaper than exactly (XADD, redis.io).
  if (bounded) resp.arg("MAXLEN"sv).arg("~"sv).arg(static_cast<int64_t>(max_length));
  IdText id;
  resp.arg(id.of(unit.id));
  for (size_t i = 0; i < 2 * entry.fields; ++i) resp.arg(entry.texts.next());
}

uint32_t Pipeline::query(uint64_t id, int db, std::span<const std::string_view> command,
                         Delegate<void(const QueryReply&)> done, std::string& output) {
  const bool selects = select(db, output);
  RespWriter(output, prefix_).words(command);
  queries_.push_back({id, done, command.front() == "HGET"sv});
  Waiting waiting{};
  waiting.kind = Kind::query;
  waiting_.push_back(waiting);
  return 1u + selects;
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
    query.done({{}, words});
  }
}

// A listener may send more, which may move waiting_. So each item is taken out before it is told.
std::optional<Failure> Pipeline::on_reply(Reply reply, MonoTime now) {
  if (waiting_.empty()) return Failure{Trouble::rubbish, "a reply that nothing was asked for"};
  switch (waiting_.front().kind) {
    case Kind::unit:
      return take_unit_reply(reply, now);
    case Kind::query:
      return answer_query(reply);
    case Kind::select:
      break;
  }
  waiting_.pop_front();
  return check_answer(GreetingStep::select, reply);
}

std::optional<Failure> Pipeline::answer_query(Reply reply) {
  const std::string_view error = reply.error();
  // A refusal of this user concerns this question only; a command that the server does not have
  // concerns all questions. Any other error, or another form of reply, says nothing about a key, so
  // it ends the connection. For a question that is not about a key (INFO) it is an answer like
  // others.
  const Trouble trouble = classify(error);
  const bool of_a_key = queries_.front().of_a_key;
  if (!is_refusal(error) && (of_a_key || trouble != Trouble::server_error)) {
    return Failure{trouble, std::string(error)};
  }
  if (of_a_key && !reply.is_error() && !has_form(Command::hget, reply)) {
    return wrong_form(name(Command::hget));
  }
  waiting_.pop_front();
  const Query query = queries_.front();
  queries_.pop_front();
  query.done({reply, error});
  return std::nullopt;
}

std::optional<Failure> Pipeline::take_unit_reply(Reply reply, MonoTime now) {
  const Waiting& waiting = waiting_.front();
  const size_t index = progress_.replies++;
  const size_t exec = waiting.queued + size_t{1};
  std::optional<Failure> failure;
  if (waiting.queued == 0) {
    failure = take_result(waiting.command[index], reply);
  } else if (index < exec) {
    failure = take_queued(index == 0 ? Command::multi : waiting.command[index - 1], reply);
  } else if (index > exec) {
    failure = take_result(waiting.command[index - 2], reply);
  } else {
    failure = take_exec(reply);
    if (!failure && progress_.aborted) {
      abort_unit(now);
      return std::nullopt;
    }
  }
  if (failure) return failure;
  std::string_view& previous = progress_.echo.previous;
  if (progress_.replies == waiting.replies()) {
    settle_unit(now);
  } else if (!previous.empty() && previous.data() != previous_.data()) {
    previous_ = previous;  // the reply's memory is used again
    previous = previous_;
  }
  return std::nullopt;
}

// Takes +OK to MULTI, +QUEUED to the commands behind it, or the reason why one was not queued.
std::optional<Failure> Pipeline::take_queued(Command command, Reply reply) {
  if (progress_.no_multi) return take_result(command, reply);
  if (reply.is_error()) {
    if (command == Command::multi && is_refusal(reply.text())) {
      progress_.no_multi = true;
      no_transaction_ = reply.text();
      return std::nullopt;
    }
    progress_.not_queued = true;
    return note_refusal(command, reply.text());
  }
  const bool expected =
      command == Command::multi ? has_form(command, reply) : reply.is_status("QUEUED"sv);
  if (!expected) return wrong_form(name(command));
  // This server takes transactions again. A cluster never will, for keys of several slots.
  if (command == Command::multi && !no_transaction_.starts_with("CROSSSLOT")) {
    no_transaction_.clear();
  }
  return std::nullopt;
}

std::optional<Failure> Pipeline::take_exec(Reply reply) {
  const Waiting& waiting = waiting_.front();
  if (progress_.no_multi) {
    if (!reply.is_error()) return wrong_form("EXEC"sv);
    return std::nullopt;
  }
  if (reply.is_error()) {
    const std::string_view error = reply.text();
    // EXECABORT after a command that was not queued, or a new trouble of the server.
    const Trouble trouble = classify(error);
    const bool refused = is_refusal(error);
    if (!refused && !(progress_.not_queued && trouble == Trouble::server_error)) {
      return Failure{trouble, std::string(error)};
    }
    if (refused && error.starts_with("CROSSSLOT")) no_transaction_ = error;
    const outbox::Unit& unit = waiting.unit;
    const Part main = unit.slot != nullptr ? kValue : unit.publish ? kMessage : kEntry;
    const std::string why(progress_.not_queued ? progress_.refused[main] : error);
    // An entry in doubt is not stored, even alone, if the user may not look for it (XREVRANGE).
    progress_.aborted = waiting.queued == waiting.commands && (has_parts(unit) || unit.in_doubt) &&
                        (why.empty() || !no_transaction_.empty());
    if (progress_.aborted) return std::nullopt;
    // Without its main part the rest of the unit is not sent either: the caller hears of a refusal,
    // and Redis has nothing of the unit.
    for (size_t i = 0; i < waiting.queued; ++i) {
      if (waiting.command[i] != Command::select) (void)note_refusal(waiting.command[i], why);
    }
    return std::nullopt;
  }
  if (!reply.is_array() || reply.size() != waiting.queued) return wrong_form("EXEC"sv);
  for (size_t i = 0; i < waiting.queued; ++i) {
    if (auto failure = take_result(waiting.command[i], reply[i])) return failure;
  }
  return std::nullopt;
}

std::optional<Failure> Pipeline::take_result(Command command, Reply reply) {
  const outbox::Unit& unit = waiting_.front().unit;
  if (reply.is_error()) {
    if (command != Command::xadd || !unit.id.is_given() || !is_of_the_id(reply.text())) {
      return note_refusal(command, reply.text());
    }
    // Either this entry was stored before, or the stream has come further by another way.
    progress_.id_refused = !progress_.entry_found;
    return std::nullopt;
  }
  if (!has_form(command, reply)) return wrong_form(name(command));
  switch (command) {
    case Command::find_entry:
      progress_.entry_found = is_entry(reply, unit.record->entry());
      break;
    case Command::xadd:
      progress_.entry_ms = wire::parse_stream_id(reply.text())->ms;  // has_form() has seen it
      break;
    case Command::hget:
      progress_.echo.previous = reply.text();
      break;
    case Command::hset: {
      // How many fields are new: all of them if the key was not there.
      const auto fields = static_cast<int64_t>(unit.slot->fields.size());
      progress_.echo.existed = *reply.integer() < fields;
      break;
    }
    case Command::publish:
      progress_.subscribers = *reply.integer();
      break;
    default:
      break;
  }
  return std::nullopt;
}

std::optional<Failure> Pipeline::note_refusal(Command command, std::string_view error) {
  // What follows a SELECT that is refused would land in another database.
  if (command == Command::select) {
    return Failure{greeting_trouble(GreetingStep::select, error), std::string(error)};
  }
  if (!is_refusal(error)) return Failure{classify(error), std::string(error)};
  // Not being allowed to look refuses nothing: the entry then goes as one that is not there.
  if (command == Command::find_entry) return std::nullopt;
  const outbox::Unit& unit = waiting_.front().unit;
  Part part = part_of(command);
  // A PING stands for an event that has nothing to send.
  if (part == kValue && unit.slot == nullptr) part = kMessage;
  if (progress_.refused[part].empty()) {
    progress_.refused[part] = error;
    progress_.refused_command[part] = command;
  }
  return std::nullopt;
}

// Whether the unit has more than one part.
bool Pipeline::has_parts(const outbox::Unit& unit) {
  const bool has_entry = unit.record != nullptr && unit.record->has_entry;
  return (unit.slot != nullptr) + has_entry + unit.publish > 1;
}

outbox::Unit Pipeline::pop_unit(MonoTime now) {
  const outbox::Unit unit = waiting_.front().unit;
  last_unit_time_ = now - waiting_.front().sent;
  waiting_.pop_front();
  --waiting_units_;
  return unit;
}

void Pipeline::abort_unit(MonoTime now) {
  const outbox::Unit unit = pop_unit(now);
  progress_.reset();
  events_.on_aborted(unit);
}

void Pipeline::settle_unit(MonoTime now) {
  const outbox::Unit unit = pop_unit(now);
  const Progress& done = progress_;
  UnitResult result;
  result.refusals = {done.refused[kValue], done.refused[kEntry], done.refused[kMessage]};
  result.value_command = done.refused_command[kValue];
  if (has_parts(unit) || done.no_multi) result.no_transaction = no_transaction_;
  result.echo = done.echo;
  result.subscribers = done.subscribers;
  result.entry_ms = done.entry_ms;
  result.id_refused = done.id_refused;
  events_.on_settled(unit, result);
  progress_.reset();
}

void Pipeline::Progress::reset() {
  replies = 0;
  no_multi = not_queued = aborted = entry_found = id_refused = false;
  echo = {};
  subscribers = -1;
  entry_ms = 0;
  for (std::string& words : refused) words.clear();
}

}  // namespace nb::redis
