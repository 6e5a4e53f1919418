#include "json/number.h"

#include <cmath>

#include "base/decimal.h"

namespace nb::json {
namespace {

constexpr int64_t kMaxExact = (int64_t{1} << 53) - 1;

// A number as its significant digits, without zeros at either end, times a power of ten.
struct Decimal {
  bool negative = false;
  bool wide = false;      // the significant digits exceed kMaxExact; `digits` is void
  int64_t digits = 0;     // 0: the number is zero
  int64_t exponent = 0;   // of ten, of the last significant digit
  int64_t magnitude = 0;  // of ten, of the first significant digit
};

Decimal read(std::string_view text) {
  Decimal number;
  size_t i = 0;
  if (!text.empty() && text[0] == '-') {
    number.negative = true;
    ++i;
  }
  bool fraction = false;
  bool any = false;
  int64_t places = 0;  // digits after the point so far
  int64_t zeros = 0;   // not yet known to be inside the significant digits
  int64_t count = 0;   // significant digits
  int64_t last = 0;    // places at the last significant digit, negative before the point
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.') {
      fraction = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    if (fraction) ++places;
    if (c == '0') {
      if (any) ++zeros;
    } else {
      any = true;
      count += zeros + 1;
      for (; zeros >= 0 && !number.wide; --zeros) {
        number.digits *= 10;
        if (number.digits > kMaxExact) number.wide = true;
      }
      number.digits += c - '0';
      if (number.digits > kMaxExact) number.wide = true;
      zeros = 0;
      last = places;
    }
    if (!fraction && any) last = -zeros;
  }
  if (!any) return number;
  int64_t exponent = 0;
  if (i < text.size()) {  // 'e' or 'E'
    ++i;
    const bool minus = i < text.size() && text[i] == '-';
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
    for (; i < text.size(); ++i) {
      // Beyond any number of digits that a text can have, so it cannot be made up for.
      if (exponent < 1'000'000'000'000) exponent = exponent * 10 + (text[i] - '0');
    }
    if (minus) exponent = -exponent;
  }
  number.exponent = exponent - last;
  number.magnitude = number.exponent + count - 1;
  return number;
}

}  // namespace

bool fits_double(std::string_view number) {
  if (number.size() < 300 && number.find_first_of("eE") == number.npos) return true;
  const Decimal decimal = read(number);
  if (decimal.magnitude != 308) return decimal.magnitude < 308;
  return to_double(number).has_value();
}

std::optional<double> to_double(std::string_view number) {
  const double value = nearest_double(number);
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::optional<int64_t> to_integer(std::string_view number) {
  Decimal decimal = read(number);
  if (decimal.wide || decimal.exponent < 0) return std::nullopt;
  if (decimal.digits == 0) return 0;
  for (; decimal.exponent > 0; --decimal.exponent) {
    decimal.digits *= 10;
    if (decimal.digits > kMaxExact) return std::nullopt;
  }
  return decimal.negative ? -decimal.digits : decimal.digits;
}

}  // namespace nb::json
