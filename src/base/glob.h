// Patterns as Redis matches them (PSUBSCRIBE, KEYS, SCAN MATCH).
//
// A pattern is matched byte by byte. `*` is any run of bytes, `?` any one byte, `[abc]` and `[a-c]`
// one of these, `[^a]` any other one; a `\` takes the next byte literally. Redis' oddities are
// kept: a class without `]` ends with the pattern, `[c-a]` is `[a-c]`, a `\` at the end is itself,
// and only the empty pattern matches the empty text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace nb {

// A text that many patterns are compared with. The places of each byte in the text are noted once.
// Then each element of a pattern is tried at all places of the text together, with a few machine
// words. So no pattern is slow: an element costs some nanoseconds, a class at most 256 such steps.
class GlobText {
 public:
  static constexpr size_t kMaxBytes = 256;

  // At most kMaxBytes. The first text takes 10 KB of memory, which later texts use again.
  void set(std::string_view text);
  std::string_view text() const { return text_; }
  bool matches(std::string_view pattern) const;

 private:
  static constexpr size_t kWords = kMaxBytes / 64;
  using Bits = std::array<uint64_t, kWords>;

  // Indexed by the byte in Redis' order: as a signed char, from -128 on.
  struct Table {
    std::array<Bits, 256> places{};  // of each byte in the text
    Bits occurring{};                // bytes
    Bits all{};                      // places that the text has
  };

  bool matches_at(size_t place, std::string_view pattern, size_t& at) const;
  const uint64_t* places_of(std::string_view pattern, size_t& at, Bits& scratch) const;
  template <size_t Words>
  bool matches_behind_star(std::string_view pattern, size_t at, size_t place) const;

  std::string text_;
  std::unique_ptr<Table> table_;
};

// The cost of a match at most, counted in such steps: each byte from the first `*` on is one step,
// four bytes before that are one, and each class is 32 more.
struct GlobCost {
  size_t all = 0;
  size_t from_star = 0;  // of these, from the first `*` on
};
GlobCost glob_cost(std::string_view pattern);

// Whether `pattern` matches a text that begins with `prefix`.
bool glob_covers_prefix(std::string_view pattern, std::string_view prefix);

}  // namespace nb
