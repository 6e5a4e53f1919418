#include "config/assign.h"

#include "base/text.h"
#include "config/rules.h"
#include "config/suggest.h"
#include "config/units.h"

namespace nb::config {
namespace {

using Type = Field::Type;

constexpr size_t kMaxEntries = 256;

struct Range {
  std::string_view low;
  std::string_view high;
};

Range range_of(const Key& key) {
  const std::string_view allowed = key.allowed;
  const size_t dots = allowed.find("..");
  if (dots == std::string_view::npos) return {};
  return {allowed.substr(0, dots), allowed.substr(dots + 2)};
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = text.find(separator);
    parts.push_back(trim(text.substr(0, end)));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

Error expected(const char* what, const Value& value) {
  return make_error("expected %s, got %s", what, describe(value).c_str());
}

Error expected_measure(const char* words, const Value& value) {
  return make_error("%s, got %s", words, describe(value).c_str());
}

Error too_many() {
  return make_error("more than %zu entries", kMaxEntries);
}

Error out_of_range(const Key& key, const Value& value) {
  const Range range = range_of(key);
  return make_error("%s is out of range: allowed is %.*s to %.*s", describe(value).c_str(),
                    static_cast<int>(range.low.size()), range.low.data(),
                    static_cast<int>(range.high.size()), range.high.data());
}

// Durations and sizes: a text with a unit, within the range of the key.
struct Measure {
  const char* what;
  const char* unit;  // that a bare number probably meant
  Result<uint64_t> (*parse)(std::string_view text);
};

constexpr Measure kDuration = {"expected a duration such as \"5s\"", "s",
                               [](std::string_view text) -> Result<uint64_t> {
                                 Result<Duration> duration = parse_duration(text);
                                 if (!duration) return duration.error();
                                 return static_cast<uint64_t>(duration->count());
                               }};
constexpr Measure kSize = {"expected a size such as \"64KiB\"", "B", parse_size};

Status assign_measure(const Key& key, const Value& value, const Measure& measure, uint64_t& out) {
  if (value.kind == Value::Kind::integer) {
    return make_error("%s, got %s: write \"%lld%s\"", measure.what, describe(value).c_str(),
                      static_cast<long long>(value.integer), measure.unit);
  }
  if (value.kind != Value::Kind::text) {
    return expected_measure(measure.what, value);
  }
  const Result<uint64_t> count = measure.parse(value.text);
  if (!count) return expected_measure(count.error().message.c_str(), value);
  const Range range = range_of(key);
  if (*count < *measure.parse(range.low) || *count > *measure.parse(range.high)) {
    return out_of_range(key, value);
  }
  out = *count;
  return {};
}

Status assign_integer(const Key& key, const Value& value, uint64_t& out) {
  if (value.kind != Value::Kind::integer) return expected("a whole number", value);
  const Range range = range_of(key);
  if (value.integer < parse_number<int64_t>(range.low).value_or(0) ||
      value.integer > parse_number<int64_t>(range.high).value_or(0)) {
    return out_of_range(key, value);
  }
  out = static_cast<uint64_t>(value.integer);
  return {};
}

Status choose(const Key& key, const Value& value, uint8_t& out) {
  const std::vector<std::string_view> names = choices(key);
  std::string list;
  for (size_t i = 0; i < names.size(); ++i) {
    if (value.kind == Value::Kind::text && value.text == names[i]) {
      out = static_cast<uint8_t>(i);
      return {};
    }
    if (i > 0) list += ", ";
    list += in_quotes(names[i]);
  }
  const std::string_view meant =
      value.kind == Value::Kind::text ? nearest(value.text, names) : std::string_view();
  return make_error("expected one of %s, got %s%s%.*s%s", list.c_str(), describe(value).c_str(),
                    meant.empty() ? "" : "; did you mean \"", static_cast<int>(meant.size()),
                    meant.data(), meant.empty() ? "" : "\"?");
}

Status assign_mode(const Value& value, uint32_t& out) {
  constexpr const char* kWhat = "an octal mode in quotes, such as \"0660\"";
  const std::string& text = value.text;
  const bool octal = value.kind == Value::Kind::text && (text.size() == 3 || text.size() == 4) &&
                     text.find_first_not_of("01234567") == std::string::npos;
  if (!octal) return expected(kWhat, value);
  uint32_t mode = 0;
  for (const char c : text) mode = mode * 8 + static_cast<uint32_t>(c - '0');
  if (mode > 0777) return expected("an octal mode of at most \"0777\"", value);
  out = mode;
  return {};
}

Status check_secretly(const Key& key, const Value& value) {
  if (value.kind != Value::Kind::text) {
    return make_error("expected a text in quotes, got %s", describe_kind(value).c_str());
  }
  Status status = check_text(key.rule, value.text);
  if (status || key.secret || key.rule == Rule::redis_url) return status;
  return make_error("%s (got %s)", status.error().message.c_str(), describe(value).c_str());
}

Status assign_list(const Key& key, const Value& value, std::vector<std::string>& out) {
  if (value.kind != Value::Kind::list)
    return expected("a list of texts, such as [\"a\", \"b\"]", value);
  if (value.items.size() > kMaxEntries) return too_many();
  std::vector<std::string> list;
  const bool of_choices = *key.allowed != '\0';
  if (of_choices && value.items.empty()) {
    return make_error("the list is empty: expected one or more of %s", key.allowed);
  }
  for (const Value& item : value.items) {
    uint8_t index = 0;
    Status status = of_choices ? choose(key, item, index) : check_secretly(key, item);
    if (!status) return status;
    if (item.text.empty()) return make_error("an entry of the list is empty");
    for (const std::string& other : list) {
      if (other == item.text) return make_error("%s is there twice", in_quotes(other, 60).c_str());
    }
    list.push_back(std::string(item.text));
  }
  out = std::move(list);
  return {};
}

Status assign_databases(const Value& value, std::vector<Database>& out) {
  if (value.kind != Value::Kind::table) {
    return make_error(
        "expected a table of names and numbers, such as { health = 0, sessions = 2 }, got %s; the "
        "number of a single database belongs at the end of redis.url",
        describe(value).c_str());
  }
  if (value.members.size() > kMaxEntries) return too_many();
  std::vector<Database> databases;
  for (const Member& member : value.members) {
    const std::string name = in_quotes(member.key, 60);
    const Status status = check_name(member.key);
    if (!status) return make_error("%s: %s", name.c_str(), status.error().message.c_str());
    const Value& number = member.value;
    if (number.kind != Value::Kind::integer || number.integer < 0 ||
        number.integer > kMaxDatabase) {
      return make_error("database %s: expected a number from 0 to %d, got %s", name.c_str(),
                        kMaxDatabase, describe(number).c_str());
    }
    // By name, so that the same databases are the same Config in whatever order they stand.
    auto at = databases.begin();
    while (at != databases.end() && at->name < member.key) ++at;
    if (at != databases.end() && at->name == member.key) {
      return make_error("database %s is there twice", name.c_str());
    }
    databases.insert(at, {member.key, static_cast<int>(number.integer)});
  }
  out = std::move(databases);
  return {};
}

bool read_status(const Value& value, std::vector<StatusRange>& out) {
  if (value.kind == Value::Kind::integer && value.integer >= 100 && value.integer <= 599) {
    const auto code = static_cast<uint16_t>(value.integer);
    out.push_back({code, code});
    return true;
  }
  const std::string& text = value.text;
  if (value.kind == Value::Kind::text && text.size() == 3 && text[0] >= '1' && text[0] <= '5' &&
      text.ends_with("xx")) {
    const int hundred = (text[0] - '0') * 100;
    out.push_back({static_cast<uint16_t>(hundred), static_cast<uint16_t>(hundred + 99)});
    return true;
  }
  return false;
}

Status assign_statuses(const Value& value, std::vector<StatusRange>& out) {
  constexpr const char* kWhat = "a status from 100 to 599, \"2xx\", or a list of such";
  std::vector<StatusRange> statuses;
  if (value.items.size() > kMaxEntries) return too_many();
  if (value.kind == Value::Kind::list) {
    for (const Value& item : value.items) {
      if (!read_status(item, statuses)) return expected(kWhat, item);
    }
    if (statuses.empty()) return make_error("expected %s, got an empty list", kWhat);
  } else if (!read_status(value, statuses)) {
    return expected(kWhat, value);
  }
  out = std::move(statuses);
  return {};
}

template <class T>
Status assign_parsed(const Key& key, const Value& value, T& out,
                     Result<T> (*parse)(std::string_view)) {
  Status status = check_secretly(key, value);
  if (!status) return status;
  Result<T> parsed = parse(value.text);
  if (!parsed) {
    return make_error("%s (got %s)", parsed.error().message.c_str(), describe(value).c_str());
  }
  out = std::move(*parsed);
  return {};
}

Result<Endpoint> parse_tcp_address(std::string_view text) {
  return parse_endpoint(text, true);
}

}  // namespace

std::vector<std::string_view> choices(const Key& key) {
  return split(key.allowed, '|');
}

Status assign(const Key& key, const Value& value, Field field) {
  switch (field.type) {
    case Type::text: {
      Status status = check_secretly(key, value);
      if (status) field.as<std::string>() = value.text;
      return status;
    }
    case Type::duration: {
      uint64_t nanoseconds = 0;
      Status status = assign_measure(key, value, kDuration, nanoseconds);
      if (status) field.as<Duration>() = Duration(static_cast<int64_t>(nanoseconds));
      return status;
    }
    case Type::size:
      return assign_measure(key, value, kSize, field.as<uint64_t>());
    case Type::integer:
      return assign_integer(key, value, field.as<uint64_t>());
    case Type::flag:
      if (value.kind != Value::Kind::flag) return expected("true or false", value);
      field.as<bool>() = value.flag;
      return {};
    case Type::level: {
      uint8_t index = 0;
      Status status = choose(key, value, index);
      // The table's order is the enum's, which begins at `error`.
      if (status) {
        field.as<LogLevel>() = static_cast<LogLevel>(static_cast<int>(LogLevel::error) + index);
      }
      return status;
    }
    case Type::choice:
      return choose(key, value, field.as<uint8_t>());
    case Type::mode:
      return assign_mode(value, field.as<uint32_t>());
    case Type::list:
      return assign_list(key, value, field.as<std::vector<std::string>>());
    case Type::databases:
      return assign_databases(value, field.as<std::vector<Database>>());
    case Type::statuses:
      return assign_statuses(value, field.as<std::vector<StatusRange>>());
    case Type::http_url:
      return assign_parsed(key, value, field.as<HttpUrl>(), parse_http_url);
    case Type::endpoint:
      return assign_parsed(key, value, field.as<Endpoint>(), parse_tcp_address);
  }
  return {};
}

Value value_from_text(Type type, std::string_view text) {
  Value value;
  value.kind = Value::Kind::text;
  value.text = text;
  const auto from_number = [](std::string_view part) {
    Value item;
    item.kind = Value::Kind::text;
    item.text = part;
    if (const auto number = parse_number<int64_t>(part)) {
      item.kind = Value::Kind::integer;
      item.integer = *number;
    }
    return item;
  };
  switch (type) {
    case Type::integer:
      return from_number(text);
    case Type::flag:
      if (text == "true" || text == "false") {
        value.kind = Value::Kind::flag;
        value.flag = text == "true";
      }
      return value;
    case Type::list:
    case Type::statuses:
      value.kind = Value::Kind::list;
      for (const std::string_view part : split(text, ',')) {
        value.items.push_back(type == Type::statuses
                                  ? from_number(part)
                                  : Value{.kind = Value::Kind::text, .text = std::string(part)});
      }
      return value;
    case Type::databases:
      value.kind = Value::Kind::table;
      for (const std::string_view part : split(text, ',')) {
        const size_t equals = part.find('=');
        Member member;
        member.key = trim(part.substr(0, equals));
        if (equals != std::string_view::npos) {
          member.value = from_number(trim(part.substr(equals + 1)));
        } else {
          member.value.kind = Value::Kind::text;
        }
        value.members.push_back(std::move(member));
      }
      return value;
    default:
      return value;
  }
}

}  // namespace nb::config
