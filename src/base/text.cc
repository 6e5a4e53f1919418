#include "base/text.h"

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "base/result.h"

namespace nb {
namespace {

std::string vformat(const char* format, va_list args) {
  va_list again;
  va_copy(again, args);
  char small[256];
  const int n = std::vsnprintf(small, sizeof small, format, args);
  std::string text;
  if (n >= 0 && static_cast<size_t>(n) < sizeof small) {
    text.assign(small, static_cast<size_t>(n));
  } else if (n >= 0) {
    text.resize(static_cast<size_t>(n) + 1);  // vsnprintf writes a NUL too
    std::vsnprintf(text.data(), text.size(), format, again);
    text.resize(static_cast<size_t>(n));
  }
  va_end(again);
  return text;
}

}  // namespace

std::string format(const char* format, ...) {
  va_list args;
  va_start(args, format);
  std::string text = vformat(format, args);
  va_end(args);
  return text;
}

Error make_error(const char* format, ...) {
  va_list args;
  va_start(args, format);
  Error error{vformat(format, args)};
  va_end(args);
  return error;
}

bool is_valid_utf8(std::string_view text) {
  return valid_utf8_prefix(text) == text.size();
}

size_t valid_utf8_prefix(std::string_view text) {
  size_t i = 0;
  const auto at = [&](size_t k) { return static_cast<unsigned char>(text[k]); };
  while (i < text.size()) {
    // Nearly all text is ASCII: eight bytes at a time.
    for (uint64_t word = 0; text.size() - i >= sizeof word; i += sizeof word) {
      std::memcpy(&word, text.data() + i, sizeof word);
      if ((word & 0x8080808080808080u) != 0) break;
    }
    if (i == text.size()) break;
    const unsigned char lead = at(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    size_t extra = 0;
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) {
      extra = 1;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      extra = 2;
      if (lead == 0xe0) low = 0xa0;   // overlong
      if (lead == 0xed) high = 0x9f;  // surrogates
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      extra = 3;
      if (lead == 0xf0) low = 0x90;   // overlong
      if (lead == 0xf4) high = 0x8f;  // beyond U+10FFFF
    } else {
      return i;
    }
    if (i + extra >= text.size()) return i;
    if (at(i + 1) < low || at(i + 1) > high) return i;
    for (size_t k = 2; k <= extra; ++k) {
      if ((at(i + k) & 0xc0) != 0x80) return i;
    }
    i += extra + 1;
  }
  return text.size();
}

std::string_view clip_utf8(std::string_view text, size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xc0) == 0x80) --limit;
  return text.substr(0, limit);
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string human_duration(long long ms) {
  if (ms < 1000) return format("%lld ms", ms);
  if (ms < 10 * 1000) return format("%.1f s", static_cast<double>(ms) / 1000);
  const long long s = ms / 1000;
  if (s < 120) return format("%lld s", s);
  if (s < 2 * 3600) return format("%lld min", s / 60);
  if (s < 48 * 3600) return format("%lld h %lld min", s / 3600, s % 3600 / 60);
  return format("%lld d %lld h", s / 86400, s % 86400 / 3600);
}

}  // namespace nb
