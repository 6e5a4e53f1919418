#include "redis/forms.h"

#include <algorithm>

#include "base/name.h"
#include "base/text.h"
#include "wire/keys.h"

namespace nb::redis {

using namespace std::string_view_literals;  // built for size, only these know their length
namespace {

constexpr int64_t kYear10000 = 253402300800;  // in seconds since 1970: the last that has its form

}  // namespace

std::optional<ScanPage> read_scan_page(Reply reply) {
  if (reply.size() != 2) return std::nullopt;
  const Reply list = reply[1];
  const auto cursor = parse_number<uint64_t>(reply[0].text());
  const auto elements = list.elements();
  const bool texts = std::ranges::all_of(elements, [](Reply r) { return r.is_string(); });
  if (!cursor || !list.is_array() || !texts) return std::nullopt;
  return ScanPage{*cursor, list.elements()};
}

std::optional<uint64_t> read_count(Reply reply) {
  const auto number = reply.integer();
  if (!number || *number < 0) return std::nullopt;
  return static_cast<uint64_t>(*number);
}

std::optional<std::string_view> read_value(Reply reply) {
  if (!reply.is_string() && !reply.is_nil()) return std::nullopt;
  return reply.text();
}

std::optional<std::string_view> read_type(Reply reply) {
  if (reply.kind() != Reply::Kind::status) return std::nullopt;
  return reply.text();
}

bool is_entries(Reply reply) {
  return reply.is_array() && std::ranges::all_of(reply.elements(), [](Reply entry) {
           return entry.size() == 2 && entry[0].is_string() && entry[1].is_array();
         });
}

std::string_view field_of(Reply fields, std::string_view name) {
  for (size_t i = 0; i + 1 < fields.size(); i += 2) {
    if (fields[i].text() == name) return fields[i + 1].text();
  }
  return {};
}

// An entry's id begins with the milliseconds since 1970 at which Redis took the entry (XADD,
// redis.io). But the writer of an entry may choose any number.
std::optional<WallTime> read_newest_entry(Reply reply) {
  const std::string_view id = reply[0][0].text();
  const auto ms = parse_number<int64_t>(id.substr(0, id.find('-')));
  if (!ms || *ms < 0 || *ms >= kYear10000 * 1000) return std::nullopt;
  return WallTime(std::chrono::milliseconds(*ms));
}

std::optional<WallTime> read_time(Reply reply) {
  if (reply.size() != 2) return std::nullopt;
  const auto seconds = parse_number<int64_t>(reply[0].text());
  const auto micros = parse_number<int64_t>(reply[1].text());
  if (!seconds || *seconds < 0 || *seconds >= kYear10000) return std::nullopt;
  if (!micros || *micros < 0 || *micros >= 1'000'000) return std::nullopt;
  return WallTime(std::chrono::microseconds(*seconds * 1'000'000 + *micros));
}

std::optional<std::string_view> find_in_info(std::string_view info, std::string_view name) {
  while (!info.empty()) {
    const size_t end = std::min(info.find('\n'), info.size());
    const std::string_view line = trim(info.substr(0, end));
    info.remove_prefix(std::min(end + 1, info.size()));
    if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == ':') {
      return line.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

std::optional<std::string_view> behind(std::string_view prefix, std::string_view key) {
  if (key.size() <= prefix.size() || !key.starts_with(prefix)) return std::nullopt;
  return key.substr(prefix.size());
}

std::optional<SessionName> read_session_name(std::string_view name) {
  auto rest = behind("stroke_"sv, name);
  if (!rest) return std::nullopt;
  const auto last = wire::take_stroke_number(*rest);
  if (!last) return std::nullopt;
  SessionName session;
  session.seconds = *last;
  // A node's name may end in _{number} as well: microseconds have six digits, seconds have ten.
  if (name.size() > 7 && name[name.size() - 7] == '_') {
    if (const auto seconds = wire::take_stroke_number(*rest)) {
      session.seconds = *seconds;
      session.microseconds = *last;
    }
  }
  session.node = *rest;
  if (!is_name(session.node)) return std::nullopt;
  return session;
}

}  // namespace nb::redis
