#include "base/glob.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace nb {
namespace {

constexpr size_t kClassCost = 32;
// A byte before the first star is compared with one place only.
constexpr size_t kBytesAStep = 4;

using ByteSet = std::array<uint64_t, 4>;

// The server's char is signed on x86. That decides what a range across 0x80 means.
size_t index_of(char c) {
  return static_cast<uint8_t>(c) ^ 0x80u;
}

bool has(const uint64_t* bits, size_t index) {
  return (bits[index / 64] >> (index % 64) & 1) != 0;
}

void add(uint64_t* bits, size_t index) {
  bits[index / 64] |= uint64_t{1} << (index % 64);
}

void add_range(ByteSet& set, size_t from, size_t to) {
  for (size_t word = from / 64; word <= to / 64; ++word) {
    const size_t first = word == from / 64 ? from % 64 : 0;
    const size_t last = word == to / 64 ? to % 64 : 63;
    set[word] |= (~uint64_t{0} >> (63 - last)) & (~uint64_t{0} << first);
  }
}

// Reads the class that begins behind `[` at `at`, and moves `at` behind the class.
ByteSet read_class(std::string_view pattern, size_t& at) {
  ByteSet set{};
  const bool negated = at < pattern.size() && pattern[at] == '^';
  if (negated) ++at;
  for (; at < pattern.size() && pattern[at] != ']'; ++at) {
    const size_t left = pattern.size() - at;
    if (pattern[at] == '\\' && left >= 2) {
      add(set.data(), index_of(pattern[++at]));
    } else if (left >= 3 && pattern[at + 1] == '-') {
      const auto [from, to] = std::minmax({index_of(pattern[at]), index_of(pattern[at + 2])});
      add_range(set, from, to);
      at += 2;
    } else {
      add(set.data(), index_of(pattern[at]));
    }
  }
  at = std::min(at + 1, pattern.size());
  if (negated) {
    for (uint64_t& word : set) word = ~word;
  }
  return set;
}

// The place behind the element at `at`, which is no class. The byte that the element means is the
// one before that place.
size_t behind_literal(std::string_view pattern, size_t at) {
  return pattern[at] == '\\' && at + 1 < pattern.size() ? at + 2 : at + 1;
}

}  // namespace

void GlobText::set(std::string_view text) {
  assert(text.size() <= kMaxBytes);
  text = text.substr(0, kMaxBytes);
  if (table_ == nullptr) {
    table_ = std::make_unique<Table>();
    text_.reserve(kMaxBytes);
  }
  Table& table = *table_;
  for (const char c : text_) table.places[index_of(c)] = {};
  table.occurring = {};
  table.all = {};
  text_.assign(text);
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t byte = index_of(text[i]);
    add(table.places[byte].data(), i);
    add(table.occurring.data(), byte);
    add(table.all.data(), i);
  }
}

// Whether the element at `at` matches the byte at `place`. Moves `at` behind the element.
bool GlobText::matches_at(size_t place, std::string_view pattern, size_t& at) const {
  if (pattern[at] == '?') {
    ++at;
    return true;
  }
  if (pattern[at] == '[') {
    ++at;
    return has(read_class(pattern, at).data(), index_of(text_[place]));
  }
  at = behind_literal(pattern, at);
  return pattern[at - 1] == text_[place];
}

// The places where the element at `at` matches. Moves `at` behind the element.
const uint64_t* GlobText::places_of(std::string_view pattern, size_t& at, Bits& scratch) const {
  const Table& table = *table_;
  if (pattern[at] == '?') {
    ++at;
    return table.all.data();
  }
  if (pattern[at] != '[') {
    at = behind_literal(pattern, at);
    return table.places[index_of(pattern[at - 1])].data();
  }
  ++at;
  const ByteSet set = read_class(pattern, at);
  scratch = {};
  for (size_t word = 0; word < kWords; ++word) {
    for (uint64_t left = set[word] & table.occurring[word]; left != 0; left &= left - 1) {
      const Bits& places = table.places[word * 64 + static_cast<size_t>(std::countr_zero(left))];
      for (size_t i = 0; i < kWords; ++i) scratch[i] |= places[i];
    }
  }
  return scratch.data();
}

// `at` is a star, which may begin to match at `place`. Between two stars stands a word of elements
// that take one byte each, so the first place where the word matches is as good as any other.
// `ends` has the places where the part of the word that was read so far may end.
template <size_t Words>
bool GlobText::matches_behind_star(std::string_view pattern, size_t at, size_t place) const {
  uint64_t ends[Words];
  Bits scratch;
  for (;;) {
    while (at < pattern.size() && pattern[at] == '*') ++at;
    if (at == pattern.size()) return true;
    if (place == text_.size()) return false;
    for (size_t i = 0; i < Words; ++i) {
      ends[i] = i < place / 64 ? 0 : i > place / 64 ? ~uint64_t{0} : ~uint64_t{0} << (place % 64);
    }
    for (bool first = true; at < pattern.size() && pattern[at] != '*'; first = false) {
      const uint64_t* places = places_of(pattern, at, scratch);
      uint64_t any = 0;
      for (size_t i = Words; i-- > 0;) {
        if (!first) ends[i] = ends[i] << 1 | (i > 0 ? ends[i - 1] >> 63 : 0);
        any |= ends[i] &= places[i];
      }
      if (any == 0) return false;
    }
    if (at == pattern.size()) return has(ends, text_.size() - 1);
    size_t word = 0;
    while (ends[word] == 0) ++word;
    place = word * 64 + static_cast<size_t>(std::countr_zero(ends[word])) + 1;
  }
}

bool GlobText::matches(std::string_view pattern) const {
  if (text_.empty()) return pattern.empty();
  size_t at = 0;
  size_t place = 0;
  for (; at < pattern.size() && pattern[at] != '*'; ++place) {
    if (place == text_.size()) return false;
    const char c = pattern[at];
    if (c != '?' && c != '[' && c != '\\') {  // most are literal bytes
      if (c != text_[place]) return false;
      ++at;
    } else if (!matches_at(place, pattern, at)) {
      return false;
    }
  }
  if (at == pattern.size()) return place == text_.size();
  if (text_.size() <= 64) return matches_behind_star<1>(pattern, at, place);
  return matches_behind_star<kWords>(pattern, at, place);
}

bool glob_covers_prefix(std::string_view pattern, std::string_view prefix) {
  size_t at = 0;
  for (const char c : prefix) {
    if (at == pattern.size()) return false;
    if (pattern[at] == '*') return true;
    if (pattern[at] == '?') {
      ++at;
    } else if (pattern[at] == '[') {
      ++at;
      if (!has(read_class(pattern, at).data(), index_of(c))) return false;
    } else {
      at = behind_literal(pattern, at);
      if (pattern[at - 1] != c) return false;
    }
  }
  return true;
}

GlobCost glob_cost(std::string_view pattern) {
  GlobCost cost;
  size_t at = 0;
  size_t before_star = 0;
  size_t classes_before = 0;
  bool behind_star = false;
  while (at < pattern.size()) {
    const size_t from = at;
    const bool is_class = pattern[at] == '[';
    behind_star |= pattern[at] == '*';
    if (is_class) {
      ++at;
      (void)read_class(pattern, at);
    } else {
      at = behind_literal(pattern, at);
    }
    if (behind_star) {
      cost.from_star += at - from + (is_class ? kClassCost : 0);
    } else {
      before_star += at - from;
      classes_before += is_class;
    }
  }
  cost.all = cost.from_star + before_star / kBytesAStep + classes_before * kClassCost;
  return cost;
}

}  // namespace nb
