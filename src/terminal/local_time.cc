#include "terminal/local_time.h"

#include <cstdio>
#include <ctime>

namespace nb::terminal {
namespace {

std::tm local(int64_t us) {
  const auto seconds = static_cast<time_t>(us / 1'000'000);
  std::tm out{};
  ::localtime_r(&seconds, &out);
  return out;
}

}  // namespace

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

std::string local_zone(int64_t us) {
  const std::tm then = local(us);
  char text[40];
  std::strftime(text, sizeof text, "%Z", &then);
  const bool is_number = text[0] == '+' || text[0] == '-';
  return is_number || text[0] == '\0' ? "UTC" + std::string(text) : std::string(text);
}

std::string local_time_ms(int64_t us) {
  const std::tm then = local(us);
  char text[40];
  const size_t n = std::strftime(text, sizeof text, "%H:%M:%S", &then);
  std::snprintf(text + n, sizeof text - n, ".%03d", static_cast<int>(us / 1000 % 1000));
  return text;
}

}  // namespace nb::terminal
