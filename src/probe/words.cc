#include "probe/words.h"

#include "base/text.h"

namespace nb::probe {

std::string one_line(std::string_view text, size_t limit) {
  const bool cut = text.size() > limit;
  if (cut) {
    text = text.substr(0, limit);
    // Not within a character: back to before its first byte.
    size_t end = text.size();
    while (end > 0 && text.size() - end < 4 && (text[end - 1] & 0xC0) == 0x80) --end;
    if (end > 0 && (text[end - 1] & 0xC0) == 0xC0) text = text.substr(0, end - 1);
  }
  const bool valid = is_valid_utf8(text);
  std::string out;
  out.reserve(text.size() + 3);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      out += ' ';
    } else {
      out += byte >= 0x80 && !valid ? '?' : c;
    }
  }
  if (cut) out += "...";
  return out;
}

}  // namespace nb::probe
