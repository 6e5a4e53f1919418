// A file of its own: libnodebeat takes this and nothing else of the room, since the rest of text.cc
// would bring std::string along.
#include <cstdint>
#include <cstring>

#include "base/text.h"

namespace nb {

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
  return {text.data(), limit};
}

Character first_character(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  const size_t bytes = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // The strict check is in one place; here the bits are only collected.
  if (text.size() < bytes || !is_valid_utf8({text.data(), bytes})) return {};
  if (bytes == 1) return {lead, 1};
  char32_t code = lead & (0xffu >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) code = code << 6 | (byte(i) & 0x3f);
  return {code, bytes};
}

char* put_character(char* out, char32_t code) {
  const auto follow = [&](int shift) { *out++ = static_cast<char>(0x80 | (code >> shift & 0x3f)); };
  if (code < 0x80) {
    *out++ = static_cast<char>(code);
  } else if (code < 0x800) {
    *out++ = static_cast<char>(0xc0 | code >> 6);
    follow(0);
  } else if (code < 0x10000) {
    *out++ = static_cast<char>(0xe0 | code >> 12);
    follow(6);
    follow(0);
  } else {
    *out++ = static_cast<char>(0xf0 | code >> 18);
    follow(12);
    follow(6);
    follow(0);
  }
  return out;
}

}  // namespace nb
