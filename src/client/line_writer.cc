#include "client/line_writer.h"

#include <chrono>

namespace nb::client {
namespace {

constexpr char kHex[] = "0123456789abcdef";

bool is_plain(char c) {
  return static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\';
}

// `value` with leading zeros.
void put_digits(char* out, int width, unsigned value) {
  while (width-- > 0) {
    out[width] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
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
  using namespace std::chrono;
  const sys_time<std::chrono::microseconds> time{std::chrono::microseconds(microseconds)};
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const auto rest = static_cast<uint64_t>((time - day).count());
  const auto second = static_cast<unsigned>(rest / 1000000);
  char text[] = "\"0000-00-00T00:00:00.000000\"";
  put_digits(text + 1, 4, static_cast<unsigned>(static_cast<int>(date.year())));
  put_digits(text + 6, 2, static_cast<unsigned>(date.month()));
  put_digits(text + 9, 2, static_cast<unsigned>(date.day()));
  put_digits(text + 12, 2, second / 3600);
  put_digits(text + 15, 2, second / 60 % 60);
  put_digits(text + 18, 2, second % 60);
  put_digits(text + 21, 6, static_cast<unsigned>(rest % 1000000));
  raw({text, sizeof text - 1});
}

size_t escaped_size(std::string_view text) {
  size_t size = 0;
  for (const char c : text) size += is_plain(c) ? 1 : c == '"' || c == '\\' ? 2 : 6;
  return size;
}

}  // namespace nb::client
