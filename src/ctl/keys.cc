#include "ctl/keys.h"

#include <algorithm>

namespace nb::ctl {
namespace {

using Kind = Key::Kind;

struct Sequence {
  std::string_view bytes;  // behind the escape
  Kind kind;
};
// xterm's, in both modes of the cursor keys, and those of the Linux console.
constexpr Sequence kSequences[] = {
    {"[A", Kind::up},       {"OA", Kind::up},         {"[B", Kind::down}, {"OB", Kind::down},
    {"[5~", Kind::page_up}, {"[6~", Kind::page_down}, {"[H", Kind::home}, {"OH", Kind::home},
    {"[1~", Kind::home},    {"[F", Kind::end},        {"OF", Kind::end},  {"[4~", Kind::end},
};

// The length of the escape sequence at the front of `bytes`, behind the escape. 0: there is none.
size_t sequence_length(std::string_view bytes) {
  if (bytes.starts_with("O")) return std::min<size_t>(2, bytes.size());
  if (!bytes.starts_with("[")) return 0;
  // ECMA-48, 5.4: parameters, and then one byte that ends the sequence.
  const auto* end =
      std::find_if(bytes.begin() + 1, bytes.end(), [](char c) { return c >= 0x40 && c <= 0x7E; });
  return static_cast<size_t>(end - bytes.begin()) + (end != bytes.end() ? 1 : 0);
}

size_t character_length(std::string_view bytes) {
  size_t length = 1;
  while (length < bytes.size() && (static_cast<unsigned char>(bytes[length]) & 0xC0) == 0x80) {
    ++length;
  }
  return length;
}

}  // namespace

std::vector<Key> read_keys(std::string_view bytes) {
  std::vector<Key> out;
  while (!bytes.empty()) {
    const char c = bytes[0];
    if (c == '\033') {
      bytes.remove_prefix(1);
      const size_t length = sequence_length(bytes);
      if (length == 0) out.push_back({Kind::escape, {}});
      for (const Sequence& known : kSequences) {
        if (length > 0 && bytes.substr(0, length) == known.bytes) out.push_back({known.kind, {}});
      }
      bytes.remove_prefix(length);
      continue;
    }
    const size_t length = character_length(bytes);
    if (c == '\r' || c == '\n') {
      out.push_back({Kind::enter, {}});
    } else if (c == 0x7F || c == '\b') {
      out.push_back({Kind::backspace, {}});
    } else if (c == 3) {
      out.push_back({Kind::interrupt, {}});
    } else if (static_cast<unsigned char>(c) >= ' ') {
      out.push_back({Kind::text, std::string(bytes.substr(0, length))});
    }
    bytes.remove_prefix(length);
  }
  return out;
}

}  // namespace nb::ctl
