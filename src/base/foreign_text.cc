#include "base/foreign_text.h"

#include <algorithm>

#include "base/text.h"

namespace nb {
namespace {

constexpr std::string_view kCut = "...";

struct Character {
  char32_t code = 0;
  size_t bytes = 0;  // 0: the text does not begin with a character
};

Character first_character(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  const size_t bytes = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // The strict check is in one place; here the bits are only collected.
  if (text.size() < bytes || !is_valid_utf8(text.substr(0, bytes))) return {};
  if (bytes == 1) return {lead, 1};
  char32_t code = lead & (0xffu >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) code = code << 6 | (byte(i) & 0x3f);
  return {code, bytes};
}

}  // namespace

std::string foreign_text(std::string_view bytes, size_t max_bytes) {
  std::string out;
  out.reserve(std::min(bytes.size(), max_bytes));
  size_t fits = 0;  // so much can stay if "..." has to stand behind it
  while (!bytes.empty()) {
    const Character c = first_character(bytes);
    const size_t taken = std::max<size_t>(c.bytes, 1);
    std::string shown;
    if (c.bytes == 0) {
      shown = format("\\x%02x", static_cast<unsigned char>(bytes.front()));
    } else if (is_unsafe_character(c.code)) {
      shown = format(c.code < 0x80 ? "\\x%02x" : "\\u%04x", static_cast<unsigned>(c.code));
    }
    const std::string_view piece = shown.empty() ? bytes.substr(0, taken) : shown;
    if (out.size() + piece.size() > max_bytes) {
      out.resize(fits);
      if (max_bytes >= kCut.size()) out += kCut;
      return out;
    }
    out += piece;
    if (max_bytes < kCut.size() || out.size() + kCut.size() <= max_bytes) fits = out.size();
    bytes.remove_prefix(taken);
  }
  return out;
}

}  // namespace nb
