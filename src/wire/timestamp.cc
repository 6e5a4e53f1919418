#include "wire/timestamp.h"

#include <cstdio>

namespace nb::wire {

std::string format_timestamp(WallTime time) {
  using namespace std::chrono;
  // Calendar arithmetic in the type, not gmtime: no locale, no time zone data, no static buffer.
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss<microseconds> clock(time - day);
  char text[64];
  const int n = std::snprintf(
      text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%06d", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
      static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return std::string(text, static_cast<size_t>(n));
}

}  // namespace nb::wire
