#include "client/line_writer.h"

#include <chrono>

#include "base/timestamp_digits.h"

namespace nb::client {
namespace {

constexpr char kHex[] = "0123456789abcdef";

bool is_plain(char c) {
  return static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\';
}

}  // namespace

void LineWriter::number(double value) {
  if (static_cast<size_t>(end_ - at_) >= kNumberBytes && lost_ == 0) {
    at_ = write_number(at_, value);
    return;
  }
  char text[kNumberBytes];
  raw({text, static_cast<size_t>(write_number(text, value) - text)});
}

void LineWriter::integer(int64_t value) {
  char text[kNumberBytes];
  raw({text, static_cast<size_t>(write_integer(text, value) - text)});
}

void LineWriter::string(std::string_view text) {
  character('"');
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    const char* plain = at;
    while (plain != end && is_plain(*plain)) ++plain;
    raw({at, static_cast<size_t>(plain - at)});
    if (plain == end) break;
    const char c = *plain;
    if (c == '"' || c == '\\') {
      const char escaped[] = {'\\', c};
      raw({escaped, 2});
    } else {
      const char escaped[] = {'\\', 'u', '0', '0', kHex[c >> 4 & 15], kHex[c & 15]};
      raw({escaped, 6});
    }
    at = plain + 1;
  }
  character('"');
}

void LineWriter::json(std::string_view text) {
  char* const out = take(text.size());
  if (out == nullptr) return;
  for (size_t i = 0; i < text.size(); ++i) {
    out[i] = text[i] == '\n' || text[i] == '\r' ? ' ' : text[i];
  }
}

void LineWriter::timestamp(int64_t microseconds) {
  char text[kTimestampBytes + 2];
  text[0] = '"';
  *write_timestamp(WallTime(std::chrono::microseconds(microseconds)), text + 1) = '"';
  raw({text, sizeof text});
}

size_t escaped_size(std::string_view text) {
  size_t size = 0;
  for (const char c : text) size += is_plain(c) ? 1 : c == '"' || c == '\\' ? 2 : 6;
  return size;
}

}  // namespace nb::client
