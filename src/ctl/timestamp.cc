#include "ctl/timestamp.h"

#include <charconv>
#include <cstdio>
#include <ctime>

namespace nb::ctl {
namespace {

std::tm local(int64_t us) {
  const auto seconds = static_cast<time_t>(us / 1'000'000);
  std::tm out{};
  ::localtime_r(&seconds, &out);
  return out;
}

}  // namespace

std::optional<int64_t> parse_timestamp(std::string_view text) {
  const std::string copy(text.substr(0, 40));
  std::tm t{};
  int used = 0;
  if (std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &t.tm_year, &t.tm_mon, &t.tm_mday,
                  &t.tm_hour, &t.tm_min, &t.tm_sec, &used) != 6) {
    return std::nullopt;
  }
  t.tm_year -= 1900;
  t.tm_mon -= 1;
  int64_t us = static_cast<int64_t>(::timegm(&t)) * 1'000'000;
  std::string_view rest = std::string_view(copy).substr(static_cast<size_t>(used));
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    for (int64_t unit = 100'000; !rest.empty() && rest[0] >= '0' && rest[0] <= '9'; unit /= 10) {
      us += (rest[0] - '0') * unit;
      rest.remove_prefix(1);
    }
  }
  if (!rest.empty() && rest != "Z" && rest != "+00:00") return std::nullopt;
  return us;
}

int64_t now_us() {
  timespec t{};
  ::clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<int64_t>(t.tv_sec) * 1'000'000 + t.tv_nsec / 1000;
}

std::string local_time(int64_t us, int64_t now) {
  const std::tm then = local(us);
  const std::tm today = local(now);
  const bool same_day = then.tm_year == today.tm_year && then.tm_yday == today.tm_yday;
  char text[40];
  std::strftime(text, sizeof text, same_day ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &then);
  return text;
}

std::string local_time_ms(int64_t us) {
  const std::tm then = local(us);
  char text[40];
  const size_t n = std::strftime(text, sizeof text, "%H:%M:%S", &then);
  std::snprintf(text + n, sizeof text - n, ".%03d", static_cast<int>(us / 1000 % 1000));
  return text;
}

std::optional<int64_t> parse_duration(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number < 0) return std::nullopt;
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  struct Unit {
    std::string_view name;
    int64_t ms;
  };
  for (const Unit& known : {Unit{"ms", 1}, Unit{"s", 1000}, Unit{"", 1000}, Unit{"min", 60'000},
                            Unit{"m", 60'000}, Unit{"h", 3'600'000}, Unit{"d", 86'400'000}}) {
    if (unit != known.name) continue;
    if (number > INT64_MAX / known.ms) return std::nullopt;
    return number * known.ms;
  }
  return std::nullopt;
}

}  // namespace nb::ctl
