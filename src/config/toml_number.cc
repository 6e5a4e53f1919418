// TOML values without quotes: numbers, true and false, dates.
#include <charconv>
#include <cmath>

#include "base/decimal.h"
#include "base/text.h"
#include "config/toml_scanner.h"

namespace nb::config {
namespace {

bool is_digit(char c, int base) {
  const int value = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' ? (c | 0x20) - 'a' + 10 : 99;
  return value < base;
}

constexpr const char kTooLarge[] = "an integer beyond 64 bits, which no key takes";

bool read_whole(std::string_view digits, int base, int64_t& out) {
  const char* end = digits.data() + digits.size();
  return std::from_chars(digits.data(), end, out, base).ec == std::errc{};
}

// False if it is too large, or so small that only 0 would be left.
bool read_fraction(std::string_view digits, double& out) {
  out = nearest_double(digits);
  const std::string_view mantissa = digits.substr(0, digits.find('e'));
  return std::isfinite(out) &&
         (out != 0 || mantissa.find_first_of("123456789") == std::string_view::npos);
}

}  // namespace

bool TomlScanner::read_scalar(Value& value) {
  const auto take_word = [this](std::string_view word) {
    const bool taken = rest_.starts_with(word);
    if (taken) advance(word.size());
    return taken;
  };
  value.kind = Value::Kind::flag;
  value.flag = take_word("true");
  if (value.flag || take_word("false")) return true;
  value.kind = Value::Kind::date;
  if (read_date()) return true;

  value.kind = Value::Kind::number;
  const size_t sign = peek() == '+' || peek() == '-' ? 1 : 0;
  const std::string_view word = rest_.substr(sign, 3);
  if (word == "inf" || word == "nan") {
    value.number = std::copysign(word == "inf" ? HUGE_VAL : NAN, peek() == '-' ? -1 : 1);
    advance(sign + word.size());
    return true;
  }
  if (!is_digit(peek(sign), 10)) {
    return expected("a value (a text stands in quotes, true and false are small)");
  }
  const char prefix = peek(1);
  if (peek() == '0' && prefix == 'x') return read_integer(16, value);
  if (peek() == '0' && prefix == 'o') return read_integer(8, value);
  if (peek() == '0' && prefix == 'b') return read_integer(2, value);
  return read_number(value);
}

// "1979-05-27", "07:32:00.5", both with "T" or a blank between them, and perhaps "Z" or "+01:00" at
// the end. No key takes a date, so it is not checked against the calendar.
bool TomlScanner::read_date() {
  const bool has_day = take_form("0000-00-00");
  constexpr std::string_view kTime = "00:00:00";
  if (has_day && !take_form("T00:00:00") && !take_form("t00:00:00") && !take_form(" 00:00:00")) {
    return true;
  }
  if (!has_day && !take_form(kTime)) return false;
  if (take_form(".0")) {
    while (is_digit(peek(), 10)) advance(1);
  }
  if (has_day && !take('Z') && !take('z') && !take_form("+00:00")) take_form("-00:00");
  return true;
}

// Takes text of the form `form`, where 0 means any digit.
bool TomlScanner::take_form(std::string_view form) {
  for (size_t i = 0; i < form.size(); ++i) {
    if (form[i] == '0' ? !is_digit(peek(i), 10) : form[i] != peek(i)) return false;
  }
  advance(form.size());
  return true;
}

// Appends the digits without the underscores between them.
bool TomlScanner::read_digits(int base, std::string& digits) {
  if (!is_digit(peek(), base)) {
    return fail("expected a digit of base %d, saw %s", base, seen().c_str());
  }
  do {
    digits += peek();
    advance(1);
    if (peek() == '_' && is_digit(peek(1), base)) advance(1);
  } while (is_digit(peek(), base));
  return true;
}

// Behind "0x", "0o" or "0b".
bool TomlScanner::read_integer(int base, Value& value) {
  const char* begin = place();
  advance(2);
  std::string digits;
  if (!read_digits(base, digits)) return false;
  value.kind = Value::Kind::integer;
  return read_whole(digits, base, value.integer) || fail_at(begin, kTooLarge);
}

bool TomlScanner::read_number(Value& value) {
  const char* begin = place();
  std::string digits(peek() == '-' ? "-" : "");
  if (peek() == '-' || peek() == '+') advance(1);
  if (peek() == '0' && (is_digit(peek(1), 10) || peek(1) == '_')) {
    return fail("a number has no zero in front (an octal mode stands in quotes)");
  }
  if (!read_digits(10, digits)) return false;
  value.kind = Value::Kind::integer;
  if (take('.')) {
    value.kind = Value::Kind::number;
    digits += '.';
    if (!read_digits(10, digits)) return false;
  }
  if ((peek() | 0x20) == 'e') {
    value.kind = Value::Kind::number;
    digits += 'e';
    advance(1);
    if (peek() == '-') digits += '-';
    if (peek() == '-' || peek() == '+') advance(1);
    if (!read_digits(10, digits)) return false;
  }
  if (is_digit(peek(), 36) || std::string_view("._:-").find(peek()) != std::string_view::npos) {
    return fail("expected decimal digit or exponent, saw %s (what is no number stands in quotes)",
                seen().c_str());
  }
  if (value.kind == Value::Kind::integer) {
    return read_whole(digits, 10, value.integer) || fail_at(begin, kTooLarge);
  }
  return read_fraction(digits, value.number) ||
         fail_at(begin, "'%.60s' is not representable in 64 bits", digits.c_str());
}

}  // namespace nb::config
