#include "cell/inspect.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>

#include "base/foreign_text.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "json/writer.h"
#include "redis/forms.h"

namespace nb::cell {

using namespace std::string_view_literals;  // built for size, only these know their length
namespace {

// The last second of the year 9999: no later one has its form.
constexpr int64_t kLastSecond = 253'402'300'799;

// "keys=12,expires=3"
std::optional<int64_t> count_in(std::string_view counts, std::string_view name) {
  const size_t at = counts.find(name);
  if (at == counts.npos) return std::nullopt;
  const std::string_view rest = counts.substr(at + name.size());
  return parse_number<int64_t>(rest.substr(0, rest.find(',')));
}

// An entry of SLOWLOG GET: its number, when (s since 1970), how long (µs), the command's words.
bool is_slow_command(redis::Reply entry) {
  return entry[1].integer() && entry[2].integer() && entry[3].is_array();
}

class InspectOperation final : public Operation {
 public:
  explicit InspectOperation(const Clock& clock) : clock_(clock) {}

 private:
  // A server's own has some kilobytes.
  static constexpr size_t kMaxInfo = 64 * 1024;
  static constexpr int kMostDatabases = 16;
  static constexpr size_t kMostCommand = 128;

  enum What { kInfo, kProtectedMode, kPassword, kUser, kSlow, kTime };

  void begin() override {
    if (!ask_also(kInfo, {"INFO"})) return;
    if (!ask_also(kProtectedMode, {"CONFIG", "GET", "protected-mode"})) return;
    if (!ask_also(kPassword, {"CONFIG", "GET", "requirepass"})) return;
    ask(kUser, {"ACL", "WHOAMI"});
  }

  void on_reply(int what, redis::Reply reply) override {
    // A part that an ACL forbids is left out.
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
      case kSlow:
        if (!says_no && (!reply.is_array() || !take_slow(reply)))
          return refuse_as_malformed("SLOWLOG GET");
        asked_at_ = clock_.wall_now();
        return ask(kTime, {"TIME"});
      default:
        if (!says_no && !reply.is_array()) return refuse_as_malformed("TIME");
        take_time(reply);
        return finish();
    }
    // The time is asked for alone, since the duration of the question shows its accuracy.
    if (--to_come_ == 0) ask(kSlow, {"SLOWLOG", "GET", "10"});
  }

  // A setting's name and its value, or nothing where the server has no such setting.
  static bool is_setting(redis::Reply reply) {
    return reply.is_array() && (reply.size() == 0 || (reply.size() == 2 && reply[1].is_string()));
  }

  bool take_slow(redis::Reply entries) {
    json::Writer json(slow_);
    json.begin_array();
    for (const redis::Reply entry : entries.elements()) {
      if (!is_slow_command(entry)) return false;
      std::string command;
      for (const redis::Reply word : entry[3].elements()) {
        if (!command.empty()) command += ' ';
        command += word.text().substr(0, kMostCommand);
        if (command.size() > kMostCommand) break;
      }
      const auto at = std::clamp<int64_t>(*entry[1].integer(), 0, kLastSecond);
      json.begin_object().key("at").string(format_timestamp(WallTime(std::chrono::seconds(at))));
      json.key("duration_us").integer(*entry[2].integer());
      json.key("command").string(foreign_text(command, kMostCommand)).end_object();
    }
    json.end_array();
    return true;
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

  // Those that have a key.
  void put_databases(json::Writer& json) const {
    json.key("databases");
    if (info_.empty()) return void(json.null());
    json.begin_array();
    for (int i = 0; i < kMostDatabases; ++i) {
      const auto counts = info("db" + std::to_string(i));
      if (!counts) continue;
      json.begin_object().key("db").integer(i);
      json.key("keys").integer(count_in(*counts, "keys="sv).value_or(0));
      json.key("expires").integer(count_in(*counts, "expires="sv).value_or(0)).end_object();
    }
    json.end_array();
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
    put_databases(json);
    json.key("slowlog");
    slow_.empty() ? json.null() : json.raw(slow_);
    json.end_object();
    answer(out);
  }

  const Clock& clock_;
  int to_come_ = 4;  // of the answers before the time
  std::string info_;
  std::optional<bool> protected_mode_;
  std::optional<bool> has_password_;
  std::string user_;
  std::string slow_;  // JSON
  WallTime asked_at_{};
  std::optional<double> offset_ms_;
};

}  // namespace

std::unique_ptr<Operation> make_inspect_operation(const Clock& clock) {
  return std::make_unique<InspectOperation>(clock);
}

}  // namespace nb::cell
