#include "agent/look.h"

#include <algorithm>
#include <optional>

#include "base/foreign_text.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "fleet/cell_walk.h"
#include "json/view.h"
#include "json/writer.h"
#include "redis/forms.h"
#include "wire/keys.h"

namespace nb::agent {
namespace {

class HealthOperation final : public Operation {
 public:
  HealthOperation(const Clock& clock, std::string_view node)
      : clock_(clock), node_(node), key_(wire::node_health_key(node)) {}

 private:
  enum class Step : uint8_t { size, health, known };

  void begin() override { ask({"HSTRLEN", key_, "health"}); }

  void on_reply(redis::Reply reply) override {
    const bool says_no = reply.is_error();
    if (step_ == Step::size) {
      // Who may not ask for the size reads all the same.
      const auto size = redis::read_count(reply);
      if (!size && !says_no) return refuse_as_malformed("HSTRLEN");
      if (size && *size > fleet::CellWalk::kMaxHealth) {
        return refuse(rpc::too_large("what stands there is too long for a health",
                                     fleet::CellWalk::kMaxHealth));
      }
      step_ = size && *size == 0 ? Step::known : Step::health;
      if (step_ == Step::known) return ask({"HGET", wire::kNodesKey, node_});
      return ask({"HGET", key_, "health"});
    }
    if (says_no) return refuse(rpc::refused_by_redis(reply.text()));
    const auto value = redis::read_value(reply);
    if (!value) return refuse_as_malformed("HGET");
    if (step_ == Step::known) {
      if (reply.is_nil()) {
        return refuse(rpc::not_found("no node '" + node_ + "' was ever seen"));
      }
      return answer(health_result(node_, {}, clock_.wall_now()));
    }
    const std::string_view text = *value;
    if (text.empty()) {
      step_ = Step::known;
      return ask({"HGET", wire::kNodesKey, node_});
    }
    std::string health;
    if (fleet::is_health(text)) append_compact(json::View::of(text), health);
    answer(health_result(node_, health, clock_.wall_now()));
  }

  const Clock& clock_;
  std::string node_;
  std::string key_;
  Step step_ = Step::size;
};

class InspectOperation final : public Operation {
 public:
  explicit InspectOperation(const Clock& clock) : clock_(clock) {}

 private:
  // A server's own has some kilobytes.
  static constexpr size_t kMaxInfo = 64 * 1024;

  void begin() override { ask({"INFO"}); }

  void on_reply(redis::Reply reply) override {
    // What an ACL forbids is left out.
    const bool says_no = reply.is_error();
    switch (step_++) {
      case 0:
        if (!says_no && !reply.is_string()) return refuse_as_malformed("INFO");
        info_ = reply.string().substr(0, kMaxInfo);
        return ask({"CONFIG", "GET", "protected-mode"});
      case 1:
        if (!says_no && !is_setting(reply)) return refuse_as_malformed("CONFIG GET");
        if (reply.size() == 2) protected_mode_ = reply[1].text() == "yes";
        return ask({"CONFIG", "GET", "requirepass"});
      case 2:
        if (!says_no && !is_setting(reply)) return refuse_as_malformed("CONFIG GET");
        if (reply.size() == 2) has_password_ = !reply[1].text().empty();
        return ask({"ACL", "WHOAMI"});
      case 3:
        if (!says_no && !reply.is_string()) return refuse_as_malformed("ACL WHOAMI");
        user_ = foreign_text(reply.string());
        asked_at_ = clock_.wall_now();
        return ask({"TIME"});
      default:
        if (!says_no && !reply.is_array()) return refuse_as_malformed("TIME");
        take_time(reply);
        return finish();
    }
  }

  // A setting's name and its value, or nothing where the server has no such setting.
  static bool is_setting(redis::Reply reply) {
    return reply.is_array() && (reply.size() == 0 || (reply.size() == 2 && reply[1].is_string()));
  }

  void take_time(redis::Reply reply) {
    const auto server = redis::read_time(reply);
    if (!server) return;
    // The server looked at its clock about half-way.
    const WallTime now = clock_.wall_now();
    const WallTime middle = asked_at_ + (now - asked_at_) / 2;
    offset_ms_ = static_cast<double>((*server - middle).count()) / 1e3;
  }

  std::optional<std::string_view> info(std::string_view name) const {
    return redis::find_in_info(info_, name);
  }

  void put_text(json::Writer& json, const char* key, std::string_view name) const {
    const auto value = info(name);
    json.key(key);
    value ? json.string(foreign_text(*value)) : json.null();
  }
  void put_number(json::Writer& json, const char* key, std::string_view name) const {
    const auto value = info(name);
    const auto number = value ? parse_number<int64_t>(*value) : std::nullopt;
    json.key(key);
    number ? json.integer(*number) : json.null();
  }
  void put_flag(json::Writer& json, const char* key, std::string_view name,
                std::string_view when) const {
    const auto value = info(name);
    json.key(key);
    value ? json.boolean(*value == when) : json.null();
  }

  void finish() {
    std::string out;
    json::Writer json(out);
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
  json::Writer json(out);
  json.begin_object().key("node_id").string(node).key("health");
  if (health.empty()) {
    json.null().key("age_ms").null().end_object();
    return out;
  }
  json.raw(health).key("age_ms");
  std::string scratch;
  const auto text = json::View::of(health)["last_heartbeat"].string(scratch);
  const auto beat = text ? parse_timestamp(*text) : std::nullopt;
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

std::unique_ptr<Operation> make_health_operation(const Clock& clock, std::string_view node) {
  return std::make_unique<HealthOperation>(clock, node);
}
std::unique_ptr<Operation> make_inspect_operation(const Clock& clock) {
  return std::make_unique<InspectOperation>(clock);
}

}  // namespace nb::agent
