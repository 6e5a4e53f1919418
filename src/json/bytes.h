// Eight or sixteen bytes at a time: finds the first byte of some kind among them.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace nb::json {

static_assert(std::endian::native == std::endian::little, "the first byte is the lowest");

inline uint64_t load_eight(const char* bytes) {
  uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

constexpr uint64_t all_bytes(unsigned char c) {
  return 0x0101010101010101u * c;
}

// Marks of bytes that are zero, or below `bound` (at most 0x80): the lowest mark is true, those
// above it may not be ("Bit Twiddling Hacks", Sean Anderson). Marks may be joined by `|`.
inline uint64_t marks_below(uint64_t word, unsigned char bound) {
  return (word - all_bytes(bound)) & ~word & all_bytes(0x80);
}
inline uint64_t marks_of(uint64_t word, unsigned char c) {
  return marks_below(word ^ all_bytes(c), 1);
}

// Whether each of the eight is a digit: its high half is 3, and stays so with 6 added.
inline bool are_digits(uint64_t word) {
  constexpr uint64_t high = all_bytes(0xf0);
  return ((word & high) | ((word + all_bytes(0x06)) & high) >> 4) == all_bytes(0x33);
}

// The place of the lowest mark; there must be one.
inline size_t first_mark(uint64_t marks) {
  return static_cast<size_t>(std::countr_zero(marks)) / 8;
}

// Sixteen at a time where the processor can; the compiler would take others byte by byte.
#if defined(__SSE2__) || defined(__ARM_NEON)
#define NB_HAS_SIXTEEN 1
using Sixteen [[gnu::vector_size(16)]] = uint8_t;

inline Sixteen load_sixteen(const char* bytes) {
  Sixteen word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

inline uint64_t joined(const Sixteen& word) {
  uint64_t halves[2];
  std::memcpy(halves, &word, sizeof halves);
  return halves[0] | halves[1];
}

// Whether any byte ends a run of plain ones in a JSON string.
inline bool ends_plain(const Sixteen& word) {
  const auto ends = (word == '"') | (word == '\\') | (word < 0x20);
  Sixteen marks;
  std::memcpy(&marks, &ends, sizeof marks);
  return joined(marks) != 0;
}
#endif

}  // namespace nb::json
