#include "base/timestamp.h"

#include "base/timestamp_digits.h"

namespace nb {
namespace {

constexpr std::string_view kForm = "0000-00-00T00:00:00.000000";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

unsigned get_digits(std::string_view text, size_t at, size_t digits) {
  unsigned value = 0;
  for (size_t i = at; i < at + digits; ++i)
    value = value * 10 + static_cast<unsigned>(text[i] - '0');
  return value;
}

}  // namespace

void append_timestamp(WallTime time, std::string& out) {
  char text[kTimestampBytes];
  (void)write_timestamp(time, text);
  out.append(text, sizeof text);
}

std::string format_timestamp(WallTime time) {
  std::string out;
  append_timestamp(time, out);
  return out;
}

std::optional<WallTime> parse_timestamp(std::string_view text) {
  using namespace std::chrono;
  constexpr size_t kWhole = sizeof "0000-00-00T00:00:00" - 1;
  constexpr size_t kMostDigits = 9;
  if (text.size() < kWhole) return std::nullopt;
  for (size_t i = 0; i < kWhole; ++i) {
    if (kForm[i] == '0' ? !is_digit(text[i]) : text[i] != kForm[i]) return std::nullopt;
  }
  const year_month_day date{year(static_cast<int>(get_digits(text, 0, 4))),
                            month(get_digits(text, 5, 2)), day(get_digits(text, 8, 2))};
  const unsigned hour = get_digits(text, 11, 2);
  const unsigned minute = get_digits(text, 14, 2);
  const unsigned second = get_digits(text, 17, 2);
  // Other programs have no year 0 (datetime.MINYEAR of Python is 1).
  if (!date.ok() || date.year() < year(1) || hour > 23 || minute > 59 || second > 59)
    return std::nullopt;
  std::string_view rest = text.substr(kWhole);
  unsigned fraction = 0;
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    size_t digits = 0;
    for (unsigned unit = 100'000; digits < rest.size() && is_digit(rest[digits]); ++digits) {
      fraction += static_cast<unsigned>(rest[digits] - '0') * unit;
      unit /= 10;
    }
    if (digits == 0 || digits > kMostDigits) return std::nullopt;
    rest.remove_prefix(digits);
  }
  if (!rest.empty() && rest != "Z" && rest != "+00:00") return std::nullopt;
  return WallTime(sys_days(date).time_since_epoch() + hours(hour) + minutes(minute) +
                  seconds(second) + microseconds(fraction));
}

}  // namespace nb
