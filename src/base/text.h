// Small text helpers that several rooms need: printf into a string, UTF-8, exact integer
// parsing, trimming.
#pragma once

#include <charconv>
#include <cstdarg>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace nb {

[[gnu::format(printf, 1, 2)]] std::string format(const char* format, ...);
[[gnu::format(printf, 1, 0)]] std::string vformat(const char* format, va_list args);

// True if `text` is well-formed UTF-8 (RFC 3629: no overlong forms, surrogates or > U+10FFFF).
bool is_valid_utf8(std::string_view text);

// In ASCII: characters that move a terminal's cursor or end a line, NUL and DEL.
inline bool is_control(char c) {
  return static_cast<unsigned char>(c) < ' ' || c == 0x7f;
}
bool has_control(std::string_view text);
// How many bytes at the front are; the size of `text` if all are.
size_t valid_utf8_prefix(std::string_view text);
// At most `limit` bytes of the front, not ending within a character.
std::string_view clip_utf8(std::string_view text, size_t limit);

struct Character {
  char32_t code = 0;
  size_t bytes = 0;  // 0: the text does not begin with a character of UTF-8
};
// The first character of the text, which is not empty.
Character first_character(std::string_view text);
// Writes the character at `out`, as 1 to 4 bytes; returns the end.
char* put_character(char* out, char32_t code);

// Whether both texts are the same. Where the compiler saves space the library's own comparison is
// two calls beside the one to memcmp(); each name in each line is compared several times.
[[gnu::always_inline]] inline bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

// Without leading and trailing ASCII white space.
std::string_view trim(std::string_view text);

// The whole of `text` as a number, or nothing: no sign where T is unsigned, no white space, no
// trailing characters, no overflow. T is an integer.
template <class T>
std::optional<T> parse_number(std::string_view text) {
  static_assert(std::is_integral_v<T>);  // for a double: base/decimal.h
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// A duration for people: "250 ms", "1.5 s", "12 s", "3 min 20 s", "2 h 5 min", "4 d 3 h".
std::string human_duration(long long milliseconds);

}  // namespace nb
