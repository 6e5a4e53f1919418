#include "base/foreign_text.h"

#include <algorithm>

#include "base/text.h"

namespace nb {
namespace {

constexpr std::string_view kCut = "...";

}  // namespace

std::string foreign_text(std::string_view bytes, size_t max_bytes) {
  std::string out;
  out.reserve(std::min(bytes.size(), max_bytes));
  size_t fits = 0;  // this much can stay if "..." has to follow
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
