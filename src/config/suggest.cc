#include "config/suggest.h"

#include <algorithm>
#include <vector>

#include "config/keys.h"

namespace nb::config {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Edit distance with swapped neighbours as one edit, without regard to case, '-' and '_' alike.
size_t distance(std::string_view a, std::string_view b) {
  const auto plain = [](char c) { return c == '-' ? '_' : lower(c); };
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> above(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    before.swap(above);
    above.swap(row);
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

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  if (word.size() > 64) return {};
  // A third of the word may be wrong, and no more than three letters.
  size_t best = std::min<size_t>(3, std::max<size_t>(1, word.size() / 3)) + 1;
  std::string found;
  for (const std::string& candidate : candidates) {
    const size_t d = distance(word, candidate);
    if (d < best) {
      best = d;
      found = candidate;
    }
  }
  return found;
}

std::string suggest_key(std::string_view section, std::string_view name) {
  std::vector<std::string> here;
  for (const Key& key : all_keys()) {
    if (key.section == section) here.emplace_back(key.name);
  }
  std::string found = nearest(name, here);
  if (found.empty()) {
    // The right name in the wrong section.
    for (const Key& key : all_keys()) {
      if (key.section != section && key.name == name) {
        found = key.path();
        break;
      }
    }
  }
  return found.empty() ? found : "; did you mean '" + found + "'?";
}

std::string suggest_section(std::string_view name) {
  std::vector<std::string> sections;
  for (const Key& key : all_keys()) {
    if (sections.empty() || sections.back() != key.section) sections.emplace_back(key.section);
  }
  const std::string found = nearest(name, sections);
  return found.empty() ? found : "; did you mean '" + found + "'?";
}

}  // namespace nb::config
