#include "json/text.h"

#include <cstdint>

#include "base/hex.h"
#include "base/text.h"

namespace nb::json {
namespace {

uint32_t take_hex4(std::string_view& text) {
  uint32_t value = 0;
  for (int i = 0; i < 4 && !text.empty(); ++i) {
    value = value << 4 | (static_cast<uint32_t>(hex_digit(text.front())) & 15u);
    text.remove_prefix(1);
  }
  return value;
}

// The bytes of an escaped text, one by one.
class Bytes {
 public:
  explicit Bytes(std::string_view escaped) : rest_(escaped) {}

  int next() {  // -1 at the end
    if (ready_.empty()) {
      if (rest_.empty()) return -1;
      ready_ = next_character(rest_, buffer_);
      if (ready_.empty()) return -1;
    }
    const auto byte = static_cast<unsigned char>(ready_.front());
    ready_.remove_prefix(1);
    return byte;
  }

 private:
  std::string_view rest_, ready_;
  char buffer_[4];
};

}  // namespace

std::string_view next_character(std::string_view& escaped, char (&buffer)[4]) {
  const std::string_view first = escaped.substr(0, 1);
  escaped.remove_prefix(first.size());
  if (first != "\\" || escaped.empty()) return first;
  const char c = escaped.front();
  escaped.remove_prefix(1);
  switch (c) {
    case 'b':
      return "\b";
    case 'f':
      return "\f";
    case 'n':
      return "\n";
    case 'r':
      return "\r";
    case 't':
      return "\t";
    case 'u':
      break;
    default:
      buffer[0] = c;
      return {buffer, 1};
  }
  uint32_t code = take_hex4(escaped);
  if (code >= 0xd800 && code <= 0xdbff && escaped.substr(0, 2) == "\\u") {
    escaped.remove_prefix(2);
    code = 0x10000 + ((code & 0x3ff) << 10) + (take_hex4(escaped) & 0x3ff);
  }
  return {buffer, static_cast<size_t>(put_character(buffer, code) - buffer)};
}

void append_unescaped(std::string_view escaped, std::string& out) {
  char buffer[4];
  while (!escaped.empty()) {
    const size_t plain = escaped.find('\\');
    out.append(escaped.substr(0, plain));
    if (plain == escaped.npos) return;
    escaped.remove_prefix(plain);
    out.append(next_character(escaped, buffer));
  }
}

int compare_escaped(std::string_view a, std::string_view b) {
  if (a.find('\\') == a.npos && b.find('\\') == b.npos) return a.compare(b);
  Bytes left(a);
  Bytes right(b);
  for (;;) {
    const int l = left.next();
    const int r = right.next();
    if (l != r || l < 0) return l - r;
  }
}

bool equals_escaped(std::string_view escaped, std::string_view text) {
  // Usually the first byte decides.
  if (!escaped.empty() && escaped.front() != '\\' && !text.starts_with(escaped.front())) {
    return false;
  }
  if (escaped == text) return text.find('\\') == text.npos;
  if (escaped.size() <= text.size()) return false;  // an escape is longer than its character
  Bytes bytes(escaped);
  for (const char c : text) {
    if (bytes.next() != static_cast<unsigned char>(c)) return false;
  }
  return bytes.next() < 0;
}

}  // namespace nb::json
