#include "base/glob.h"

#include <algorithm>
#include <cstring>

namespace nb {
namespace {

constexpr size_t kNo = std::string_view::npos;

// Behind the class that begins behind `[` at `at`, if `c` is in it, else kNo.
size_t match_class(std::string_view pattern, size_t at, char c) {
  const bool negated = at < pattern.size() && pattern[at] == '^';
  if (negated) ++at;
  bool found = false;
  for (; at < pattern.size() && pattern[at] != ']'; ++at) {
    const size_t left = pattern.size() - at;
    if (pattern[at] == '\\' && left >= 2) {
      found |= pattern[++at] == c;
    } else if (left >= 3 && pattern[at + 1] == '-') {
      // Signed like the server's char on x86, which decides where a range crosses 0x80.
      const auto from = static_cast<signed char>(pattern[at]);
      const auto to = static_cast<signed char>(pattern[at + 2]);
      const auto byte = static_cast<signed char>(c);
      found |= std::min(from, to) <= byte && byte <= std::max(from, to);
      at += 2;
    } else {
      found |= pattern[at] == c;
    }
  }
  if (found == negated) return kNo;
  return std::min(at + 1, pattern.size());
}

// Behind the element of `pattern` at `at`, if it matches `c`, else kNo.
size_t match_one(std::string_view pattern, size_t at, char c) {
  switch (pattern[at]) {
    case '?':
      return at + 1;
    case '[':
      return match_class(pattern, at + 1, c);
    case '\\':
      if (at + 1 < pattern.size()) ++at;
      break;
    default:
      break;
  }
  return pattern[at] == c ? at + 1 : kNo;
}

bool is_plain(char c) {
  return c != '*' && c != '?' && c != '[' && c != '\\';
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text) {
  // Not even by "*": Redis looks at no element when there is nothing to match.
  if (text.empty()) return pattern.empty();
  size_t p = 0;
  // Each element but `*` takes one byte, so only the last `*` ever has to take more.
  size_t behind_star = kNo;
  size_t star_took_to = 0;
  size_t plain = 0;  // so many bytes behind that `*` mean themselves: they are looked for together
  for (size_t t = 0; t < text.size();) {
    const bool at_star = p < pattern.size() && pattern[p] == '*';
    if (at_star) {
      behind_star = ++p;
      if (p == pattern.size()) return true;
      star_took_to = t;
      for (plain = p; plain < pattern.size() && is_plain(pattern[plain]);) ++plain;
      plain -= p;
    } else {
      const size_t next = p < pattern.size() ? match_one(pattern, p, text[t]) : kNo;
      if (next != kNo) {
        p = next;
        ++t;
        continue;
      }
      if (behind_star == kNo) return false;
      ++star_took_to;
    }
    const void* at = ::memmem(text.data() + star_took_to, text.size() - star_took_to,
                              pattern.data() + behind_star, plain);
    if (at == nullptr) return false;
    star_took_to = static_cast<size_t>(static_cast<const char*>(at) - text.data());
    p = behind_star + plain;
    t = star_took_to + plain;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace nb
