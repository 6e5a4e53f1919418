// The rule for names: of nodes, databases, probes and categories of errors. They are the tail of
// keys and channels in Redis, and other programs take that tail for the name. So a name never holds
// a character that could be misunderstood.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace nb {

inline constexpr size_t kNameBytes = 64;

constexpr bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

constexpr bool is_name_character(char c) {
  return is_alphanumeric(c) || c == '-' || c == '_' || c == '.';
}

// 1 to 64 letters of ASCII, digits, '-', '_' and '.', the first one a letter or digit.
constexpr bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytes && is_alphanumeric(text.front()) &&
         std::all_of(text.begin(), text.end(), is_name_character);
}

}  // namespace nb
