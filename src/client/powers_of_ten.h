// The powers of ten that number_text needs, each as the upper 128 bits of its binary expansion,
// rounded up: 617 entries, 10 KB, computed by the compiler instead of pasted in.
#pragma once

#include <array>
#include <cstdint>

namespace nb::client {

struct Power128 {
  uint64_t high;
  uint64_t low;
};

constexpr int kMinPower = -292;
constexpr int kMaxPower = 324;

namespace powers {

// An integer of 1280 bits; enough for 10^324 and for 2^1216 / 10^292 to keep 128 exact bits.
struct Big {
  static constexpr int kWords = 40;
  std::array<uint32_t, kWords> word{};

  constexpr void times_ten() {
    uint64_t carry = 0;
    for (uint32_t& w : word) {
      carry += uint64_t{w} * 10;
      w = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
  }

  // Rounds down; the result says whether anything was lost.
  constexpr bool divide_by_ten() {
    uint64_t rest = 0;
    for (int i = kWords - 1; i >= 0; --i) {
      rest = rest << 32 | word[i];
      word[i] = static_cast<uint32_t>(rest / 10);
      rest %= 10;
    }
    return rest != 0;
  }

  // The 128 bits from the highest set one on; rounded up if any lower bit is set.
  constexpr Power128 top(bool inexact) const {
    int i = kWords - 1;
    while (word[i] == 0) --i;
    int shift = 0;
    while ((word[i] << shift & 0x80000000u) == 0) ++shift;
    std::array<uint32_t, 4> part{};
    for (int k = 0; k < 4; ++k) {
      const uint64_t upper = i - k >= 0 ? word[i - k] : 0;
      const uint64_t lower = i - k - 1 >= 0 ? word[i - k - 1] : 0;
      part[k] = static_cast<uint32_t>((upper << 32 | lower) << shift >> 32);
    }
    for (int k = i - 4; k >= 0; --k) {
      uint32_t below = word[k];
      if (k == i - 4) below = static_cast<uint32_t>(uint64_t{below} << shift);
      inexact = inexact || below != 0;
    }
    Power128 power{uint64_t{part[0]} << 32 | part[1], uint64_t{part[2]} << 32 | part[3]};
    if (inexact && ++power.low == 0) ++power.high;
    return power;
  }
};

constexpr std::array<Power128, kMaxPower - kMinPower + 1> make() {
  std::array<Power128, kMaxPower - kMinPower + 1> table{};
  Big up;
  up.word[0] = 1;
  for (int k = 0; k <= kMaxPower; ++k, up.times_ten()) table[k - kMinPower] = up.top(false);
  Big down;
  down.word[38] = 1;  // 2^1216
  bool inexact = false;
  for (int k = -1; k >= kMinPower; --k) {
    inexact = down.divide_by_ten() || inexact;
    table[k - kMinPower] = down.top(inexact);
  }
  return table;
}

}  // namespace powers
}  // namespace nb::client
