#include "gate/outcome.h"

#include <algorithm>

#include "base/text.h"
#include "base/timestamp.h"
#include "json/writer.h"
#include "terminal/text.h"

namespace nb::gate {

std::string json_text(std::string_view text) {
  std::string out;
  json::Writer(out).string(text);
  return out;
}

void add_raw(std::string& members, std::string_view name, std::string_view json) {
  if (!members.empty()) members += ',';
  members += '"';
  members += name;
  members += "\":";
  members += json.empty() ? "null" : json;
}

void add_text(std::string& members, std::string_view name, std::string_view text) {
  add_raw(members, name, json_text(text));
}

void add_integer(std::string& members, std::string_view name, int64_t value) {
  add_raw(members, name, std::to_string(value));
}

void add_boolean(std::string& members, std::string_view name, bool value) {
  add_raw(members, name, value ? "true" : "false");
}

void add_bounded(std::string& members, std::string_view name, json::View value, size_t room) {
  const std::string raw = terminal::json_printable(value.raw());
  if (raw.size() <= room) return add_raw(members, name, raw);
  add_raw(members, name, "null");
  add_boolean(members, "truncated", true);
  add_integer(members, std::string(name) + "_bytes", static_cast<int64_t>(value.raw().size()));
  add_text(members, std::string(name) + "_begins", clip_utf8(raw, room / 4));
}

namespace {

std::string outcome(bool good, std::string_view message, std::string_view members) {
  std::string all;
  add_boolean(all, "success", good);
  add_text(all, "message", message);
  if (!members.empty()) all += ',';
  all += members;
  return terminal::json_printable('{' + all + '}');
}

// With a capital letter and a full stop.
std::string sentence(std::string words) {
  if (!words.empty() && words[0] >= 'a' && words[0] <= 'z') words[0] -= 'a' - 'A';
  return words + '.';
}

// The agent's name of a parameter, and the tools' name of it; and the expected value, where the
// agent's words are about its own methods.
constexpr struct {
  std::string_view parameter, argument, expected;
} kArguments[] = {
    {"replay.since", "cursor", "expected `cursor` of an earlier answer"},
    {"cursor", "cursor", kCursorWords},
    {"node", "node_id", {}},
    {"event", "event_data", {}},
    {"value", "data", {}},
    {"patterns", "channels", {}},
};

// Of a parameter that the agent does not take. The field may be a place within the parameter.
std::string words_of_argument(const CallFailure& failure) {
  std::string scratch;
  const json::View data = json::View::of(failure.data);
  const std::string field(data["field"].string(scratch).value_or(""));
  std::string_view words = failure.words;
  if (field.empty() || !words.starts_with(field + ": ")) return sentence(failure.words);
  words.remove_prefix(field.size() + 2);
  for (const auto& [parameter, argument, expected] : kArguments) {
    if (!field.starts_with(parameter)) continue;
    const std::string_view rest = std::string_view(field).substr(parameter.size());
    if (!rest.empty() && rest[0] != '.' && rest[0] != '[') continue;
    return wrong_argument(std::string(argument) + std::string(rest),
                          expected.empty() ? words : expected);
  }
  return wrong_argument(field, words);
}

}  // namespace

std::string wrong_argument(std::string_view argument, std::string_view words) {
  return "The argument `" + std::string(argument) + "` is wrong: " + std::string(words) + '.';
}

std::string success(std::string_view message, std::string_view members) {
  return outcome(true, message, members);
}

std::string failure(std::string_view error, std::string_view message, std::string_view members) {
  std::string all;
  add_text(all, "error", error);
  if (!members.empty()) all += ',';
  all += members;
  return outcome(false, message, all);
}

std::string_view error_of(const CallFailure& failure) {
  switch (failure.kind) {
    case CallFailure::Kind::refused:
      return failure.name.empty() ? std::string_view("refused") : std::string_view(failure.name);
    case CallFailure::Kind::away:
      return "agent_away";
    case CallFailure::Kind::silent:
      return "agent_silent";
    case CallFailure::Kind::full:
      return "busy";
  }
  return {};
}

std::string words_of(const CallFailure& failure, bool writes) {
  const std::string doubt =
      writes && failure.was_sent ? " Whether it was carried out is not known: read it again." : "";
  switch (failure.kind) {
    case CallFailure::Kind::away:
      return "The nodebeat agent of this computer cannot be reached: " + failure.words + '.' +
             doubt +
             " The doctor tool tells more; the agent is started by: systemctl start nodebeat.";
    case CallFailure::Kind::silent:
      return "The nodebeat agent is there, but has not answered in time: " + failure.words + '.' +
             doubt + " Try again later.";
    case CallFailure::Kind::full:
      return "Too many calls are under way: " + failure.words + '.';
    case CallFailure::Kind::refused:
      break;
  }
  if (failure.name == "unavailable") {
    return "Redis cannot be reached by the agent: " + failure.words +
           ". system_status tells when it is back, doctor what to do.";
  }
  if (failure.name == "not_stored") {
    return "Redis has not confirmed it in time: " + failure.words + ". Do not repeat it.";
  }
  if (failure.name == "in_doubt") {
    return "Whether it was carried out is not known: " + failure.words + ". Read it again.";
  }
  if (failure.name == "invalid_params") return words_of_argument(failure);
  return sentence(failure.words);
}

std::optional<int64_t> age_ms(std::string_view timestamp, WallTime now) {
  const auto time = parse_timestamp(timestamp);
  if (!time) return std::nullopt;
  const auto age = std::chrono::floor<std::chrono::milliseconds>(now - *time);
  return std::max<int64_t>(age.count(), 0);
}

}  // namespace nb::gate
