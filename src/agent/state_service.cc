#include "agent/state_service.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "wire/json_guard.h"
#include "wire/json_writer.h"
#include "wire/keys.h"
#include "wire/line_limits.h"

namespace nb::agent {

using namespace std::string_view_literals;  // one size and one memcmp to compare with
namespace {

// A stored value may be larger than a line to the agent may be; two levels are around it in the
// answer.
constexpr wire::JsonLimits kStoredLimits{1024 * 1024, 62};
constexpr size_t kMaxResult = wire::kLineBytes;  // and so whatever was set by a line
// As Redis keeps it, with all that it needs around it: what is larger fits into no answer.
constexpr size_t kMaxStored = 4 * 1024 * 1024;

std::string get_result(std::string_view key, std::string_view value_json, const char* source) {
  std::string out;
  wire::JsonWriter json(out);
  json.begin_object().key("key").string(key).key("value").raw(value_json);
  json.key("source").string(source).end_object();
  return out;
}

// The one field in which a HASH of the schema holds its object; empty for others.
std::string_view object_field(std::string_view key) {
  if (key.starts_with("node:health:")) return "health";
  if (key.starts_with("robot:state:")) return "state";
  if (key.starts_with("stroke:progress:")) return "progress";
  return {};
}

class GetOperation final : public Operation {
 public:
  explicit GetOperation(std::string_view key) : key_(key) {}

 private:
  void begin() override { ask({"TYPE", key_}); }

  void on_reply(const redisReply& reply) override {
    if (!type_.empty() && !std::exchange(sized_, true)) return on_size(reply);
    if (redis::is_error(reply)) return refuse(wire::rpc::refused_by_redis(redis::text_of(reply)));
    if (type_.empty()) {
      type_ = redis::text_of(reply);
      if (type_ == "string"sv || type_ == "hash"sv) {
        return ask({"MEMORY", "USAGE", key_, "SAMPLES", "10000"});
      }
      if (type_ == "none"sv) return refuse(wire::rpc::not_found("there is no such key"));
      return refuse(wire::rpc::wrong_type(
          "the key holds a " + type_ + ": what can be read are strings and hashes", type_));
    }
    std::string value;
    if (type_ == "string"sv) {
      // It may have expired between the two questions.
      if (reply.type != REDIS_REPLY_STRING) {
        return refuse(wire::rpc::not_found("there is no such key"));
      }
      append_value(redis::text_of(reply), value);
    } else {
      append_hash(reply, value);
    }
    if (value.size() > kMaxResult) return refuse_as_large();
    answer(get_result(key_, value, "redis"));
  }

  // A reply beyond the limit would end the connection, and with it what all others wait for. Who
  // may not ask for the size, or cannot, reads all the same.
  void on_size(const redisReply& reply) {
    if (reply.type == REDIS_REPLY_INTEGER &&
        static_cast<uint64_t>(reply.integer) > std::min(kMaxStored, max_reply_bytes())) {
      return refuse_as_large();
    }
    type_ == "string"sv ? ask({"GET", key_}) : ask({"HGETALL", key_});
  }

  void refuse_as_large() {
    refuse(wire::rpc::too_large("the stored value does not fit into an answer", kMaxResult));
  }

  void append_hash(const redisReply& reply, std::string& out) const {
    const std::string_view wanted = object_field(key_);
    wire::JsonWriter json(out);
    json.begin_object();
    for (size_t i = 0; i + 1 < reply.elements; i += 2) {
      const std::string_view name = redis::text_of(*reply.element[i]);
      const std::string_view text = redis::text_of(*reply.element[i + 1]);
      if (!wanted.empty() && name == wanted) {
        out.clear();
        append_value(text, out);
        return;
      }
      std::string quoted;
      wire::JsonWriter(quoted).string(name);
      json.key(std::string_view(quoted).substr(1, quoted.size() - 2)).string(text);
    }
    json.end_object();
  }

  std::string key_;
  std::string type_;
  bool sized_ = false;
};

class ListOperation final : public Operation {
 public:
  ListOperation(std::string_view prefix, std::string_view cursor, size_t limit)
      : cursor_(cursor), limit_(limit) {
    for (const char c : prefix) {
      if (std::string_view("*?[]\\^-").find(c) != std::string_view::npos) pattern_ += '\\';
      pattern_ += c;
    }
    pattern_ += '*';
    wire::JsonWriter(keys_).begin_array();
  }

 private:
  void begin() override { ask({"SCAN", cursor_, "MATCH", pattern_, "COUNT", "500"}); }

  void on_reply(const redisReply& reply) override {
    if (redis::is_error(reply)) return refuse(wire::rpc::refused_by_redis(redis::text_of(reply)));
    if (reply.elements != 2) return refuse(wire::rpc::internal("SCAN was answered strangely"));
    for (size_t i = 0; i < reply.element[1]->elements; ++i) {
      if (count_++ > 0) keys_ += ',';
      wire::JsonWriter(keys_).string(redis::text_of(*reply.element[1]->element[i]));
    }
    cursor_ = redis::text_of(*reply.element[0]);
    // A walk goes on in the next call when this answer is full, or when a big database has
    // little that matches: nobody waits for all of it at once.
    if (cursor_ != "0"sv && count_ < limit_ && keys_.size() < kMaxResult / 2 && ++rounds_ < 200) {
      return begin();
    }
    std::string out = "{\"keys\":" + keys_ + "],\"cursor\":";
    out += cursor_ == "0"sv ? "null}" : "\"" + cursor_ + "\"}";
    answer(out);
  }

  std::string pattern_;
  std::string cursor_;
  size_t limit_;
  std::string keys_;
  size_t count_ = 0;
  int rounds_ = 0;
};

}  // namespace

void append_value(std::string_view stored, std::string& out) {
  wire::JsonGuard guard;
  if (guard.check(stored, kStoredLimits).reason == nullptr) {
    append_compact(wire::JsonView::of(stored), out);
  } else {
    wire::JsonWriter(out).string(stored);
  }
}

bool StateService::check_key(Request& request, std::string_view key) {
  if (!wire::is_reserved_key(key)) return true;
  requests_.refuse(request,
                   wire::rpc::refused_key(key,
                                          "other programs parse keys beginning with node:, robot:, "
                                          "stroke:, stream:, session: and nodebeat:"));
  return false;
}

// key, value, ttl_ms
void StateService::set(Request& request) {
  const std::string_view key = *request.values[0].string(key_);
  if (!check_key(request, key) || request.check_only) return;
  const outbox::FieldView fields[] = {{"", compacted(request.values[1], value_)}};
  outbox::SlotUpdate slot;
  slot.db = db_;
  slot.key = key;
  slot.kind = outbox::SlotKind::string;
  slot.fields = fields;
  slot.limited = true;
  if (const auto ttl = request.values[2].integer()) slot.ttl = std::chrono::milliseconds(*ttl);
  requests_.write(request, &slot, nullptr, nullptr);
}

// key
void StateService::get(Request& request) {
  if (request.call == nullptr) return;
  const std::string_view key = *request.values[0].string(key_);
  const auto slot = outbox_.find(db_, key, request.began);
  if (slot && !slot->stored) {
    if (slot->kind == outbox::SlotKind::remove) {
      return requests_.refuse(request, wire::rpc::not_found("there is no such key"));
    }
    const std::string_view wanted = object_field(key);
    for (const outbox::FieldView& field : slot->fields) {
      if (slot->kind == outbox::SlotKind::string || field.name == wanted) {
        return requests_.done(request, get_result(key, field.value, "agent"));
      }
    }
  }
  operations_.begin(*request.call, std::make_unique<GetOperation>(key));
}

// key
void StateService::remove(Request& request) {
  const std::string_view key = *request.values[0].string(key_);
  if (!check_key(request, key) || request.check_only) return;
  outbox::SlotUpdate slot;
  slot.db = db_;
  slot.key = key;
  slot.kind = outbox::SlotKind::remove;
  slot.forget = true;
  slot.limited = true;  // while Redis is away each key that is deleted takes its room
  requests_.write(request, &slot, nullptr, nullptr);
}

// prefix, limit, cursor
void StateService::list(Request& request) {
  if (request.call == nullptr) return;
  std::string scratch;
  const std::string_view cursor = request.values[2].string(scratch).value_or("0");
  if (!parse_number<uint64_t>(cursor)) {
    return requests_.refuse(request, wire::rpc::invalid_params(
                                         "cursor", "expected what an earlier state.list returned"));
  }
  const size_t limit = static_cast<size_t>(request.values[1].integer().value_or(100));
  operations_.begin(*request.call, std::make_unique<ListOperation>(
                                       request.values[0].string(key_).value_or(""), cursor, limit));
}

}  // namespace nb::agent
