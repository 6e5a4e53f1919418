#include "cell/inspect.h"

#include <optional>
#include <string>

#include "base/foreign_text.h"
#include "base/text.h"
#include "json/writer.h"
#include "redis/forms.h"

namespace nb::cell {
namespace {

class InspectOperation final : public Operation {
 public:
  explicit InspectOperation(const Clock& clock) : clock_(clock) {}

 private:
  // A server's own has some kilobytes.
  static constexpr size_t kMaxInfo = 64 * 1024;

  enum What { kInfo, kProtectedMode, kPassword, kUser, kTime };

  void begin() override {
    if (!ask_also(kInfo, {"INFO"})) return;
    if (!ask_also(kProtectedMode, {"CONFIG", "GET", "protected-mode"})) return;
    if (!ask_also(kPassword, {"CONFIG", "GET", "requirepass"})) return;
    ask(kUser, {"ACL", "WHOAMI"});
  }

  void on_reply(int what, redis::Reply reply) override {
    // What an ACL forbids is left out.
    const bool says_no = reply.is_error();
    switch (what) {
      case kInfo:
        if (!says_no && !reply.is_string()) return refuse_as_malformed("INFO");
        info_ = reply.string().substr(0, kMaxInfo);
        break;
      case kProtectedMode:
        if (!says_no && !is_setting(reply)) return refuse_as_malformed("CONFIG GET");
        if (reply.size() == 2) protected_mode_ = reply[1].text() == "yes";
        break;
      case kPassword:
        if (!says_no && !is_setting(reply)) return refuse_as_malformed("CONFIG GET");
        if (reply.size() == 2) has_password_ = !reply[1].text().empty();
        break;
      case kUser:
        if (!says_no && !reply.is_string()) return refuse_as_malformed("ACL WHOAMI");
        user_ = foreign_text(reply.string());
        break;
      default:
        if (!says_no && !reply.is_array()) return refuse_as_malformed("TIME");
        take_time(reply);
        return finish();
    }
    // The time is asked for alone, since how long it takes tells how exact it is.
    if (--to_come_ > 0) return;
    asked_at_ = clock_.wall_now();
    ask(kTime, {"TIME"});
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
  int to_come_ = 4;  // of the answers before the time
  std::string info_;
  std::optional<bool> protected_mode_;
  std::optional<bool> has_password_;
  std::string user_;
  WallTime asked_at_{};
  std::optional<double> offset_ms_;
};

}  // namespace

std::unique_ptr<Operation> make_inspect_operation(const Clock& clock) {
  return std::make_unique<InspectOperation>(clock);
}

}  // namespace nb::cell
