#include "audit/stream.h"

#include <algorithm>
#include <chrono>

#include "audit/ending.h"

namespace nb::audit {

using redis_admin::Deadline;
using redis_admin::Form;
using redis_admin::Reply;
using redis_admin::Server;
using Kind = Reply::Kind;
namespace {

// An entry of an agent has one text of a session, of 2 MiB at most. A larger entry is not from an
// agent, and is not copied.
constexpr redis_admin::ReplyLimits kLimits = {.bytes = 16 << 20, .items = 64 << 10};
constexpr int64_t kMostBlockMs = 5000;
// After a read of the stream that was too large, since its first entry is a large one.
constexpr std::chrono::minutes kWithoutFacts{1};

const Reply* value_of(const Reply& map, std::string_view name) {
  for (size_t i = 0; i + 1 < map.items.size(); i += 2) {
    if (map.items[i].text == name) return &map.items[i + 1];
  }
  return nullptr;
}

std::optional<uint64_t> number_of(const Reply& map, std::string_view name) {
  const Reply* value = value_of(map, name);
  if (value == nullptr || value->kind != Kind::integer) return std::nullopt;
  return parse_number<uint64_t>(value->text);
}

std::optional<wire::StreamId> id_of(const Reply& map, std::string_view name) {
  const Reply* value = value_of(map, name);
  return value == nullptr ? std::nullopt : wire::parse_stream_id(value->text);
}

Error malformed(const Server::Command& command) {
  return make_error("the answer to %s is not as Redis 7.0 or later answers",
                    command.front().c_str());
}

}  // namespace

std::optional<StreamFacts> stream_facts(const Reply& reply) {
  const auto added = number_of(reply, "entries-added");
  const auto length = number_of(reply, "length");
  const auto first = id_of(reply, "recorded-first-entry-id");
  const auto last = id_of(reply, "last-generated-id");
  const Reply* groups = value_of(reply, "groups");
  if (!added || !length || *added < *length || !first || !last || groups == nullptr) {
    return std::nullopt;
  }
  for (const Reply& group : groups->items) {
    const Reply* name = value_of(group, "name");
    const auto delivered = id_of(group, "last-delivered-id");
    if (name == nullptr || name->text != kGroup || !delivered) continue;
    return StreamFacts{*added, *length,    *length > 0 ? *first : wire::StreamId(),
                       *last,  *delivered, number_of(group, "entries-read").value_or(0)};
  }
  return std::nullopt;
}

bool add_answer(Batch& batch, Reply&& reply) {
  if (reply.kind == Kind::nil) return true;
  if (reply.kind != Kind::list || reply.items.size() != 1) return false;
  Reply& stream = reply.items[0];
  if (stream.kind != Kind::list || stream.items.size() != 2 || stream.items[1].kind != Kind::list) {
    return false;
  }
  for (Reply& item : stream.items[1].items) {
    if (!add_item(batch, std::move(item))) return false;
  }
  return true;
}

Stream::Stream(const Options& options, const Log& log, int stop_fd)
    : options_(options), log_(log), stop_fd_(stop_fd), server_(Deadline(0), kLimits) {}

Deadline Stream::deadline(int64_t extra_ms) const {
  return Deadline(ms_of(options_.command_timeout) + extra_ms, stop_fd_);
}

Error Stream::lost() const {
  return make_error("%s: %s", redis_admin::place_of(options_.redis).c_str(),
                    server_.fault().c_str());
}

Status Stream::open() {
  server_.set_deadline(Deadline(ms_of(options_.connect_timeout), stop_fd_));
  {
    // The look-up of a name waits without watching the signals, and nothing is under way.
    const EndsAtOnce ends_at_once;
    if (server_.open(options_.redis) != Server::Opened::open) return lost();
  }
  open_ = true;
  cursor_ = "0-0";
  newest_ = "$";
  // For CLIENT LIST. A user without the right to set a name has none.
  server_.set_deadline(deadline());
  (void)server_.call({"CLIENT", "SETNAME", kGroup}, Form::any);
  if (options_.redis.db != 0) {
    const auto done = ask({"SELECT", std::to_string(options_.redis.db)});
    if (!done) return done.error();
  }
  return {};
}

Status Stream::make_group() {
  // From the beginning: an entry that is in the database already is not stored twice.
  server_.set_deadline(deadline());
  const Reply made =
      server_.call({"XGROUP", "CREATE", options_.stream(), kGroup, "0", "MKSTREAM"}, Form::any);
  if (made.kind == Kind::none) return lost();
  if (made.is_error() && !made.text.starts_with("BUSYGROUP")) {
    return make_error("Redis refuses to make the group %s: %s", kGroup, made.text.c_str());
  }
  if (!made.is_error()) {
    log_.notice("made the group %s of the stream %s: it reads from the stream's beginning", kGroup,
                options_.stream().c_str());
  }
  return {};
}

Result<Reply> Stream::ask(const Command& command, int64_t extra_ms) {
  for (const bool is_first : {true, false}) {
    server_.set_deadline(deadline(extra_ms));
    Reply reply = server_.call(command, Form::any);
    if (reply.kind == Kind::none) return lost();
    if (!reply.is_error()) return reply;
    if (!is_first || !reply.text.starts_with("NOGROUP")) {
      return make_error("Redis refuses %s: %s", command.front().c_str(), reply.text.c_str());
    }
    if (Status made = make_group(); !made) return made.error();
  }
  return malformed(command);
}

// In a transaction, so that nothing changes in between.
Result<std::vector<Reply>> Stream::ask_at_once(const std::vector<Command>& commands) {
  std::vector<Command> all = {{"MULTI"}};
  all.insert(all.end(), commands.begin(), commands.end());
  all.push_back({"EXEC"});
  for (const bool is_first : {true, false}) {
    server_.set_deadline(deadline());
    std::vector<Reply> replies = server_.call_all(all, Form::any);
    Reply& result = replies.back();
    // The first error has the reason; EXEC only says that there was one.
    const Reply* error = nullptr;
    size_t at = 0;
    const auto look = [&](const Reply& reply, size_t index) {
      if (error != nullptr || !reply.is_error()) return;
      error = &reply;
      at = index;
    };
    for (size_t i = 0; i + 1 < replies.size(); ++i) look(replies[i], i);
    for (size_t i = 0; i < result.items.size(); ++i) look(result.items[i], i + 1);
    look(result, all.size() - 1);
    if (result.kind == Kind::none) return lost();
    if (error == nullptr && result.items.size() != commands.size()) return malformed(all.back());
    if (error == nullptr) return std::move(result.items);
    const bool is_missing =
        error->text.starts_with("NOGROUP") || error->text.starts_with("ERR no such key");
    if (!is_first || !is_missing) {
      return make_error("Redis refuses %s: %s", all[at].front().c_str(), error->text.c_str());
    }
    if (Status made = make_group(); !made) return made.error();
  }
  return malformed(all.back());
}

Stream::Command Stream::read_command(uint64_t count, const char* from) const {
  return {"XREADGROUP",      "GROUP",           kGroup,
          options_.consumer, "COUNT",           std::to_string(count),
          "STREAMS",         options_.stream(), from};
}

Result<Reading> Stream::read_pending(uint64_t count) {
  const Command command = read_command(count, "0");
  Result<Reply> reply = ask(command);
  if (!reply) return reply.error();
  Reading out;
  if (!add_answer(out.batch, std::move(*reply))) return malformed(command);
  out.all = out.batch.is_empty();
  return out;
}

Result<Reading> Stream::read_new(uint64_t count) {
  const MonoTime now = std::chrono::steady_clock::now();
  const bool with_facts = now >= without_facts_until_;
  std::vector<Command> commands;
  // Its answer holds the stream's first entry, whatever the count.
  if (with_facts) commands.push_back({"XINFO", "STREAM", options_.stream(), "FULL", "COUNT", "1"});
  commands.push_back(read_command(count, ">"));
  Result<std::vector<Reply>> replies = ask_at_once(commands);
  if (!replies) {
    if (with_facts && was_too_large()) without_facts_until_ = now + kWithoutFacts;
    return replies.error();
  }
  Reading out;
  if (!add_answer(out.batch, std::move(replies->back()))) return malformed(commands.back());
  out.all = out.batch.ids.size() < count;
  if (with_facts) {
    out.facts = stream_facts(replies->front());
    if (!out.facts) return malformed(commands.front());
    newest_ = out.facts->last.text();
  } else if (!out.batch.is_empty()) {
    newest_ = out.batch.ids.back();
  }
  return out;
}

Result<Reading> Stream::take_over(uint64_t count) {
  const Command command = {"XAUTOCLAIM",
                           options_.stream(),
                           kGroup,
                           options_.consumer,
                           std::to_string(ms_of(options_.takeover_after)),
                           cursor_,
                           "COUNT",
                           std::to_string(count)};
  Result<Reply> reply = ask(command);
  if (!reply) return reply.error();
  Reading out;
  // The next cursor, the entries, and the ids of entries that have been trimmed and are no longer
  // pending.
  std::vector<Reply>& items = reply->items;
  if (items.size() != 3 || !wire::parse_stream_id(items[0].text)) return malformed(command);
  for (Reply& item : items[1].items) {
    if (!add_item(out.batch, std::move(item))) return malformed(command);
  }
  for (Reply& id : items[2].items) {
    out.batch.gone.push_back(id.text);
    out.batch.ids.push_back(std::move(id.text));
  }
  cursor_ = items[0].text;
  out.all = cursor_ == "0-0";
  return out;
}

Result<std::string> Stream::oldest_pending() {
  const Command command = {"XPENDING", options_.stream(), kGroup, "-", "+", "1", options_.consumer};
  Result<Reply> reply = ask(command);
  if (!reply) return reply.error();
  if (reply->items.empty()) return std::string();
  const std::vector<Reply>& first = reply->items[0].items;
  if (first.empty() || !wire::parse_stream_id(first[0].text)) return malformed(command);
  return first[0].text;
}

Status Stream::acknowledge(const std::vector<std::string>& ids) {
  Command command = {"XACK", options_.stream(), kGroup};
  command.insert(command.end(), ids.begin(), ids.end());
  const Result<Reply> reply = ask(command);
  return reply ? Status() : Status(reply.error());
}

Status Stream::wait() {
  // Dead consumers are looked for in between.
  const int64_t ms = std::clamp<int64_t>(ms_of(options_.takeover_after) / 4, 1, kMostBlockMs);
  const Result<Reply> reply = ask(
      {"XREAD", "COUNT", "1", "BLOCK", std::to_string(ms), "STREAMS", options_.stream(), newest_},
      ms);
  // The answer is too large to be read here: so there is an entry.
  if (!reply && was_too_large()) return open();
  return reply ? Status() : Status(reply.error());
}

std::vector<Stream::Command> Stream::commands(const Options& options) {
  const std::string stream = options.stream();
  return {
      {"XINFO", "STREAM", stream, "FULL", "COUNT", "1"},
      {"XGROUP", "CREATE", stream, kGroup, "0", "MKSTREAM"},
      {"XREADGROUP", "GROUP", kGroup, options.consumer, "COUNT", "1", "STREAMS", stream, ">"},
      {"XAUTOCLAIM", stream, kGroup, options.consumer, "60000", "0-0", "COUNT", "1"},
      {"XPENDING", stream, kGroup, "-", "+", "1", options.consumer},
      {"XREAD", "COUNT", "1", "BLOCK", "1", "STREAMS", stream, "$"},
      {"XACK", stream, kGroup, "0-1"},
  };
}

}  // namespace nb::audit
