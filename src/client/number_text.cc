#include "client/number_text.h"

#include <bit>
#include <cstring>

#include "client/powers_of_ten.h"

// Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles", 2020): three products
// with a power of ten decide which of four candidates is the shortest. The names are the paper's.

namespace nb::client {
namespace {

constexpr auto kPowers = powers::make();
static_assert(kPowers[0 - kMinPower].high == uint64_t{1} << 63 && kPowers[0 - kMinPower].low == 0);
static_assert(kPowers[0].high == 0xff77b1fcbebcdc4f && kPowers[0].low == 0x25e8e89c13bb0f7b);

struct Decimal {
  uint64_t digits;
  int exponent;
};

// The upper and lower half of a product.
Power128 multiply(uint64_t a, uint64_t b) {
#ifdef __SIZEOF_INT128__
  __extension__ using Wide = unsigned __int128;
  const Wide product = Wide{a} * b;
  return {static_cast<uint64_t>(product >> 64), static_cast<uint64_t>(product)};
#else
  const uint64_t a0 = static_cast<uint32_t>(a), a1 = a >> 32;
  const uint64_t b0 = static_cast<uint32_t>(b), b1 = b >> 32;
  const uint64_t low = a0 * b0;
  const uint64_t mid = a1 * b0 + (low >> 32);
  const uint64_t other = a0 * b1 + static_cast<uint32_t>(mid);
  return {a1 * b1 + (mid >> 32) + (other >> 32), other << 32 | static_cast<uint32_t>(low)};
#endif
}

// g * cp / 2^128, its last bit telling whether anything was cut off ("round to odd").
uint64_t scaled(const Power128& g, uint64_t cp) {
  const Power128 x = multiply(g.low, cp);
  Power128 y = multiply(g.high, cp);
  y.low += x.high;
  if (y.low < x.high) ++y.high;
  return y.high | (y.low > 1 ? 1u : 0u);
}

Decimal shortest(uint64_t fraction, int biased) {
  const bool normal = biased != 0;
  const uint64_t c = normal ? fraction | uint64_t{1} << 52 : fraction;
  const int q = (normal ? biased : 1) - 1075;
  // Whole numbers below 2^53 are their own digits.
  if (q <= 0 && q > -53 && (c & ((uint64_t{1} << -q) - 1)) == 0) return {c >> -q, 0};

  const bool even = (c & 1) == 0;
  const bool closer = fraction == 0 && biased > 1;  // the next lower double is half as far
  const int k = (q * 1262611 - (closer ? 524031 : 0)) >> 22;
  const int h = q + (-k * 1741647 >> 19) + 1;
  const Power128& g = kPowers[-k - kMinPower];
  const uint64_t cb = 4 * c;
  const uint64_t vbl = scaled(g, (cb - 2 + (closer ? 1 : 0)) << h);
  const uint64_t vb = scaled(g, cb << h);
  const uint64_t vbr = scaled(g, (cb + 2) << h);
  const uint64_t lower = vbl + (even ? 0 : 1);
  const uint64_t upper = vbr - (even ? 0 : 1);

  const uint64_t s = vb / 4;
  if (s >= 10) {
    const uint64_t shorter = s / 10;
    const bool under = lower <= 40 * shorter;
    const bool over = 40 * shorter + 40 <= upper;
    if (under != over) return {shorter + (over ? 1 : 0), k + 1};
  }
  const bool under = lower <= 4 * s;
  const bool over = 4 * s + 4 <= upper;
  if (under != over) return {s + (over ? 1 : 0), k};
  const uint64_t middle = 4 * s + 2;
  return {s + (vb > middle || (vb == middle && (s & 1) != 0) ? 1 : 0), k};
}

constexpr auto kPairs = [] {
  std::array<char, 200> pairs{};
  for (int i = 0; i < 100; ++i) {
    pairs[2 * i] = static_cast<char>('0' + i / 10);
    pairs[2 * i + 1] = static_cast<char>('0' + i % 10);
  }
  return pairs;
}();

// Writes digits so that they end at `end`; returns where they begin.
char* write_back(char* end, uint64_t digits) {
  while (digits >= 100) {
    end -= 2;
    std::memcpy(end, &kPairs[2 * static_cast<size_t>(digits % 100)], 2);
    digits /= 100;
  }
  if (digits >= 10) {
    end -= 2;
    std::memcpy(end, &kPairs[2 * static_cast<size_t>(digits)], 2);
  } else {
    *--end = static_cast<char>('0' + digits);
  }
  return end;
}

char* put(char* out, const char* from, int n) {
  std::memcpy(out, from, static_cast<size_t>(n));
  return out + n;
}

char* put_zeros(char* out, int n) {
  std::memset(out, '0', static_cast<size_t>(n));
  return out + n;
}

}  // namespace

char* write_number(char* out, double value) {
  const auto bits = std::bit_cast<uint64_t>(value);
  const uint64_t fraction = bits & ((uint64_t{1} << 52) - 1);
  const int biased = static_cast<int>(bits >> 52 & 0x7ff);
  if (biased == 0x7ff) return put(out, "null", 4);
  if (bits >> 63 != 0) *out++ = '-';
  if (fraction == 0 && biased == 0) return put(out, "0.0", 3);

  Decimal decimal = shortest(fraction, biased);
  if (decimal.digits % 10000 == 0) {
    while (decimal.digits % 100000000 == 0) decimal.digits /= 100000000, decimal.exponent += 8;
    while (decimal.digits % 10000 == 0) decimal.digits /= 10000, decimal.exponent += 4;
  }
  while (decimal.digits % 10 == 0) decimal.digits /= 10, ++decimal.exponent;

  char text[20];
  char* const end = text + sizeof text;
  const char* const digits = write_back(end, decimal.digits);
  const int count = static_cast<int>(end - digits);
  const int point = count + decimal.exponent;  // digits before the point
  if (point > 16 || point < -3) {
    *out++ = digits[0];
    if (count > 1) {
      *out++ = '.';
      out = put(out, digits + 1, count - 1);
    }
    *out++ = 'e';
    const int exponent = point - 1;
    *out++ = exponent < 0 ? '-' : '+';
    const int size = exponent < 0 ? -exponent : exponent;
    if (size < 10) *out++ = '0';
    return write_integer(out, size);
  }
  if (point <= 0) {
    out = put(out, "0.", 2);
    out = put_zeros(out, -point);
    return put(out, digits, count);
  }
  if (point >= count) {
    out = put(out, digits, count);
    out = put_zeros(out, point - count);
    return put(out, ".0", 2);
  }
  out = put(out, digits, point);
  *out++ = '.';
  return put(out, digits + point, count - point);
}

char* write_integer(char* out, int64_t value) {
  auto size = static_cast<uint64_t>(value);
  if (value < 0) {
    *out++ = '-';
    size = 0 - size;
  }
  char text[20];
  char* const end = text + sizeof text;
  const char* const digits = write_back(end, size);
  return put(out, digits, static_cast<int>(end - digits));
}

}  // namespace nb::client
