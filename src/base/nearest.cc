#include "base/nearest.h"

#include <algorithm>
#include <cstddef>

namespace nb {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// A longer word is none of our names.
constexpr size_t kLongest = 64;

// Edit distance with swapped neighbours as one edit, without regard to case, '-' and '_' alike.
// Neither text is longer than kLongest.
size_t distance(std::string_view a, std::string_view b) {
  const auto plain = [](char c) { return c == '-' ? '_' : lower(c); };
  size_t rows[3][kLongest + 1];
  size_t* before = rows[0];
  size_t* above = rows[1];
  size_t* row = rows[2];
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t* const oldest = before;
    before = above;
    above = row;
    row = oldest;
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = plain(a[i - 1]) == plain(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && plain(a[i - 1]) == plain(b[j - 2]) &&
          plain(a[i - 2]) == plain(b[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

}  // namespace

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  if (word.size() > kLongest) return {};
  // A third of the word may be wrong, but no more than three letters.
  size_t best = std::min<size_t>(3, std::max<size_t>(1, word.size() / 3)) + 1;
  std::string_view found;
  for (const std::string_view candidate : candidates) {
    if (candidate.size() > kLongest) continue;
    const size_t d = distance(word, candidate);
    if (d < best) {
      best = d;
      found = candidate;
    }
  }
  return found;
}

}  // namespace nb
