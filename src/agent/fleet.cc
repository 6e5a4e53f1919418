#include "agent/fleet.h"

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "base/text.h"
#include "wire/json_guard.h"
#include "wire/json_view.h"
#include "wire/json_writer.h"
#include "wire/keys.h"
#include "wire/timestamp.h"

namespace nb::agent {

using namespace std::string_view_literals;  // one size and one memcmp to compare with
namespace {

constexpr std::string_view kHealthPrefix = "node:health:";
constexpr std::string_view kProgressPrefix = "stroke:progress:";

bool is_object(std::string_view json) {
  wire::JsonGuard guard;
  // Three levels are around it in a status.
  return guard.check(json, {.max_depth = 61}).reason == nullptr &&
         wire::JsonView::of(json).type() == wire::JsonView::Type::object;
}

// The schema's object, by these steps: who was ever seen (nodebeat:nodes), who beats without being
// an agent of ours (SCAN node:health:*), each one's health, the last beat of those that are gone
// (their history), and the running sessions (SCAN stroke:progress:*).
class StatusOperation final : public Operation {
 public:
  StatusOperation(const Clock& clock, std::string_view node, std::string_view own_health)
      : clock_(clock) {
    nodes_[std::string(node)].health = own_health;
  }

 private:
  struct Node {
    std::string health;     // JSON; empty: none
    std::string last_seen;  // bare timestamp; empty: unknown
  };
  enum class Step : uint8_t { known, beating, health, history, sessions, progress };

  void begin() override { ask({"HGETALL", wire::kNodesKey}); }

  void on_unavailable() override { finish(false); }

  void on_reply(const redisReply& reply) override {
    // What an ACL forbids is left out; the rest is still worth showing.
    switch (step_) {
      case Step::known:
        for (size_t i = 0; i + 1 < reply.elements; i += 2) add(redis::text_of(*reply.element[i]));
        step_ = Step::beating;
        return scan(kHealthPrefix);
      case Step::beating:
        if (take_page(reply,
                      [&](std::string_view key) { add(key.substr(kHealthPrefix.size())); })) {
          return scan(kHealthPrefix);
        }
        step_ = Step::health;
        at_ = nodes_.begin();
        return ask_health();
      case Step::health:
        at_->second.health.clear();
        if (is_object(redis::text_of(reply))) {
          append_compact(wire::JsonView::of(redis::text_of(reply)), at_->second.health);
        }
        if (at_->second.health.empty()) {
          step_ = Step::history;
          stream_ = wire::node_metrics_stream(at_->first);
          return ask({"XREVRANGE", stream_, "+", "-", "COUNT", "1"});
        }
        return next_node();
      case Step::history:
        at_->second.last_seen = time_of_entry(reply);
        return next_node();
      case Step::sessions:
        if (take_page(reply,
                      [&](std::string_view key) { sessions_.push_back(std::string(key)); })) {
          return scan(kProgressPrefix);
        }
        return next_session();
      case Step::progress:
        active_ += is_executing(redis::text_of(reply));
        return next_session();
    }
  }

  void add(std::string_view name) {
    if (wire::check_node_name(name)) nodes_.try_emplace(std::string(name));
  }

  void scan(std::string_view prefix) {
    pattern_ = std::string(prefix) + "*";
    ask({"SCAN", cursor_, "MATCH", pattern_, "COUNT", "1000"});
  }

  // True: there is more.
  template <class Take>
  bool take_page(const redisReply& reply, Take take) {
    if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 2) {
      cursor_ = "0";
      return false;
    }
    for (size_t i = 0; i < reply.element[1]->elements; ++i) {
      take(redis::text_of(*reply.element[1]->element[i]));
    }
    cursor_ = redis::text_of(*reply.element[0]);
    return cursor_ != "0"sv;
  }

  void ask_health() {
    key_ = wire::node_health_key(at_->first);
    ask({"HGET", key_, "health"});
  }

  void next_node() {
    step_ = Step::health;
    if (++at_ != nodes_.end()) return ask_health();
    step_ = Step::sessions;
    scan(kProgressPrefix);
  }

  void next_session() {
    step_ = Step::progress;
    if (sessions_.empty()) return finish(true);
    key_ = std::move(sessions_.back());
    sessions_.pop_back();
    ask({"HGET", key_, "progress"});
  }

  // An entry's id begins with the milliseconds since 1970 at which Redis took it (XADD, redis.io).
  static std::string time_of_entry(const redisReply& reply) {
    if (reply.type != REDIS_REPLY_ARRAY || reply.elements == 0) return {};
    const redisReply& entry = *reply.element[0];
    if (entry.elements == 0) return {};
    const std::string_view id = redis::text_of(*entry.element[0]);
    // Whoever adds an entry may name any number.
    constexpr int64_t kYear10000 = 253402300800000;
    const auto ms = parse_number<int64_t>(id.substr(0, id.find('-')));
    if (!ms || *ms >= kYear10000) return {};
    return wire::format_timestamp(WallTime(std::chrono::milliseconds(*ms)));
  }

  static bool is_executing(std::string_view progress) {
    return is_object(progress) &&
           wire::JsonView::of(progress)["is_executing"].boolean().value_or(false);
  }

  void finish(bool connected) {
    std::string out;
    std::string healths;
    std::string seen;
    int64_t online = 0;
    int64_t total = 0;
    wire::JsonWriter health_json(healths);
    wire::JsonWriter seen_json(seen);
    health_json.begin_object();
    seen_json.begin_object();
    for (const auto& [name, node] : nodes_) {
      // Not asked for any more: it may have one.
      if (!connected && step_ != Step::known && node.health.empty()) continue;
      ++total;
      health_json.key(name);
      seen_json.key(name);
      if (node.health.empty()) {
        health_json.null();
        node.last_seen.empty() ? seen_json.null() : seen_json.string(node.last_seen);
        continue;
      }
      health_json.raw(node.health);
      const wire::JsonView health = wire::JsonView::of(node.health);
      online += health["is_reachable"].boolean().value_or(true);
      std::string scratch;
      seen_json.string(health["last_heartbeat"].string(scratch).value_or(""));
    }
    health_json.end_object();
    seen_json.end_object();
    wire::JsonWriter json(out);
    json.begin_object().key("redis_connected").boolean(connected);
    json.key("active_stroke_sessions").integer(active_).key("nodes_online").integer(online);
    json.key("total_nodes").integer(total);
    json.key("nodes_health").raw(healths).key("nodes_last_seen").raw(seen);
    json.key("timestamp").string(wire::format_timestamp(clock_.wall_now())).end_object();
    answer(out);
  }

  const Clock& clock_;
  Step step_ = Step::known;
  std::map<std::string, Node> nodes_;
  std::map<std::string, Node>::iterator at_;
  std::vector<std::string> sessions_;
  int64_t active_ = 0;
  std::string cursor_ = "0";
  // A command's texts have to live until it was formatted; these are the ones that are made.
  std::string pattern_;
  std::string key_;
  std::string stream_;
};

class HealthOperation final : public Operation {
 public:
  HealthOperation(const Clock& clock, std::string_view node)
      : clock_(clock), node_(node), key_(wire::node_health_key(node)) {}

 private:
  void begin() override { ask({"HGET", key_, "health"}); }

  void on_reply(const redisReply& reply) override {
    if (redis::is_error(reply)) return refuse(wire::rpc::refused_by_redis(redis::text_of(reply)));
    const std::string_view text = redis::text_of(reply);
    if (!asked_ && text.empty()) {
      asked_ = true;
      return ask({"HGET", wire::kNodesKey, node_});
    }
    if (asked_) {
      if (text.empty()) {
        return refuse(wire::rpc::not_found("no node '" + node_ + "' was ever seen"));
      }
      return answer(health_result(node_, {}, clock_.wall_now()));
    }
    std::string health;
    if (is_object(text)) append_compact(wire::JsonView::of(text), health);
    answer(health_result(node_, health, clock_.wall_now()));
  }

  const Clock& clock_;
  std::string node_;
  std::string key_;
  bool asked_ = false;
};

class InspectOperation final : public Operation {
 public:
  explicit InspectOperation(const Clock& clock) : clock_(clock) {}

 private:
  void begin() override { ask({"INFO"}); }

  void on_reply(const redisReply& reply) override {
    const std::string_view text = redis::text_of(reply);
    const bool is_list = reply.type == REDIS_REPLY_ARRAY && reply.elements == 2;
    switch (step_++) {
      case 0:
        if (!redis::is_error(reply)) info_ = text;
        return ask({"CONFIG", "GET", "protected-mode"});
      case 1:
        if (is_list) protected_mode_ = redis::text_of(*reply.element[1]) == "yes";
        return ask({"CONFIG", "GET", "requirepass"});
      case 2:
        if (is_list) has_password_ = !redis::text_of(*reply.element[1]).empty();
        return ask({"ACL", "WHOAMI"});
      case 3:
        if (!redis::is_error(reply)) user_ = text;
        asked_at_ = clock_.wall_now();
        return ask({"TIME"});
      default:
        if (is_list) take_time(reply);
        return finish();
    }
  }

  void take_time(const redisReply& reply) {
    const auto seconds = parse_number<int64_t>(redis::text_of(*reply.element[0]));
    const auto micros = parse_number<int64_t>(redis::text_of(*reply.element[1]));
    if (!seconds || !micros) return;
    // The server looked at its clock about half-way.
    const WallTime now = clock_.wall_now();
    const WallTime middle = asked_at_ + (now - asked_at_) / 2;
    const WallTime server(std::chrono::microseconds(*seconds * 1000000 + *micros));
    offset_ms_ = static_cast<double>((server - middle).count()) / 1e3;
  }

  // A line of INFO: "name:value\r\n".
  std::optional<std::string_view> info(std::string_view name) const {
    std::string_view rest = info_;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      const std::string_view line = trim(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == ':') {
        return line.substr(name.size() + 1);
      }
    }
    return std::nullopt;
  }

  void put_text(wire::JsonWriter& json, const char* key, std::string_view name) const {
    const auto value = info(name);
    json.key(key);
    value ? json.string(*value) : json.null();
  }
  void put_number(wire::JsonWriter& json, const char* key, std::string_view name) const {
    const auto value = info(name);
    const auto number = value ? parse_number<int64_t>(*value) : std::nullopt;
    json.key(key);
    number ? json.integer(*number) : json.null();
  }
  void put_flag(wire::JsonWriter& json, const char* key, std::string_view name,
                std::string_view when) const {
    const auto value = info(name);
    json.key(key);
    value ? json.boolean(*value == when) : json.null();
  }

  void finish() {
    std::string out;
    wire::JsonWriter json(out);
    json.begin_object();
    put_text(json, "version", "redis_version");
    put_text(json, "role", "role");
    put_number(json, "maxmemory_bytes", "maxmemory");
    put_number(json, "used_memory_bytes", "used_memory");
    put_text(json, "maxmemory_policy", "maxmemory_policy");
    put_flag(json, "loading", "loading", "1");
    put_flag(json, "aof_enabled", "aof_enabled", "1");
    put_flag(json, "rdb_last_save_ok", "rdb_last_bgsave_status", "ok");
    put_number(json, "connected_clients", "connected_clients");
    json.key("protected_mode");
    protected_mode_ ? json.boolean(*protected_mode_) : json.null();
    json.key("has_password");
    has_password_ ? json.boolean(*has_password_) : json.null();
    json.key("clock_offset_ms");
    offset_ms_ ? json.rounded(*offset_ms_, 3) : json.null();
    json.key("user");
    user_.empty() ? json.null() : json.string(user_);
    json.end_object();
    answer(out);
  }

  const Clock& clock_;
  int step_ = 0;
  std::string info_;
  std::optional<bool> protected_mode_;
  std::optional<bool> has_password_;
  std::string user_;
  WallTime asked_at_{};
  std::optional<double> offset_ms_;
};

}  // namespace

std::string health_result(std::string_view node, std::string_view health, WallTime now) {
  std::string out;
  wire::JsonWriter json(out);
  json.begin_object().key("node_id").string(node).key("health");
  if (health.empty()) {
    json.null().key("age_ms").null().end_object();
    return out;
  }
  json.raw(health).key("age_ms");
  std::string scratch;
  const auto text = wire::JsonView::of(health)["last_heartbeat"].string(scratch);
  const auto beat = text ? wire::parse_timestamp(*text) : std::nullopt;
  if (beat) {
    // Two computers' clocks are compared: a beat from the future is a fresh one.
    const auto age = std::chrono::floor<std::chrono::milliseconds>(now - *beat);
    json.integer(std::max<int64_t>(age.count(), 0));
  } else {
    json.null();
  }
  json.end_object();
  return out;
}

std::unique_ptr<Operation> make_status_operation(const Clock& clock, std::string_view node,
                                                 std::string_view own_health) {
  return std::make_unique<StatusOperation>(clock, node, own_health);
}
std::unique_ptr<Operation> make_health_operation(const Clock& clock, std::string_view node) {
  return std::make_unique<HealthOperation>(clock, node);
}
std::unique_ptr<Operation> make_inspect_operation(const Clock& clock) {
  return std::make_unique<InspectOperation>(clock);
}

}  // namespace nb::agent
