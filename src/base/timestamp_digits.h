// The digits of a timestamp. Free of std::string, since libnodebeat writes timestamps too.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/clock.h"

namespace nb {

inline constexpr size_t kTimestampBytes = sizeof "0000-00-00T00:00:00.000000" - 1;

// Writes "2026-11-20T14:03:07.123456", which is kTimestampBytes long, at `out`; returns the end.
// The year is 0 to 9999.
//
// Digit by digit: there is one timestamp in each record and event, and printf would cost more than
// the rest. The calendar arithmetic is in the type, not in gmtime: no locale, no time zone data, no
// static buffer.
inline char* write_timestamp(WallTime time, char* out) {
  using namespace std::chrono;
  const auto put = [&out](int digits, unsigned value, char behind) {
    for (int i = digits; i-- > 0; value /= 10) out[i] = static_cast<char>('0' + value % 10);
    out += digits;
    if (behind != '\0') *out++ = behind;
  };
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss<microseconds> clock(time - day);
  const int year = static_cast<int>(date.year());
  put(4, static_cast<unsigned>(year < 0 ? 0 : year), '-');
  put(2, static_cast<unsigned>(date.month()), '-');
  put(2, static_cast<unsigned>(date.day()), 'T');
  put(2, static_cast<unsigned>(clock.hours().count()), ':');
  put(2, static_cast<unsigned>(clock.minutes().count()), ':');
  put(2, static_cast<unsigned>(clock.seconds().count()), '.');
  put(6, static_cast<unsigned>(clock.subseconds().count()), '\0');
  return out;
}

}  // namespace nb
