#include "redis/resp_writer.h"

#include <algorithm>
#include <charconv>

#include "wire/key_places.h"

namespace nb::redis {

namespace {

constexpr size_t kMaxHeader = 1 + 20 + 2;  // "$18446744073709551615\r\n"

// "$300\r\n", into at least kMaxHeader bytes; returns its end.
char* put_header(char* at, char kind, uint64_t number) {
  *at++ = kind;
  // One digit or a few, nearly always: std::to_chars counts them first.
  char digits[20];
  size_t n = 0;
  do {
    digits[n++] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number > 0);
  while (n > 0) *at++ = digits[--n];
  *at++ = '\r';
  *at++ = '\n';
  return at;
}

}  // namespace

// string::append() of two pointers is a replace(), which takes several times as long.
void RespWriter::append(const char* begin, const char* end) {
  out_.append(begin, static_cast<size_t>(end - begin));
}

RespWriter& RespWriter::command(size_t arguments) {
  char text[kMaxHeader];
  append(text, put_header(text, '*', arguments));
  return *this;
}

RespWriter& RespWriter::arg(std::string_view text) {
  // Short words go out with what is around them in one piece.
  constexpr size_t kShort = 64;
  char piece[kMaxHeader + kShort + 2];
  char* end = put_header(piece, '$', text.size());
  if (text.size() <= kShort) {
    end = std::copy(text.begin(), text.end(), end);
    *end++ = '\r';
    *end++ = '\n';
    append(piece, end);
    return *this;
  }
  append(piece, end);
  out_.append(text);
  out_.append("\r\n", 2);
  return *this;
}

RespWriter& RespWriter::arg(int64_t number) {
  char text[24];
  const auto end = std::to_chars(text, text + sizeof text, number).ptr;
  return arg(std::string_view(text, static_cast<size_t>(end - text)));
}

RespWriter& RespWriter::key(std::string_view name) {
  if (prefix_.empty()) return arg(name);
  char header[kMaxHeader];
  append(header, put_header(header, '$', prefix_.size() + name.size()));
  out_.append(prefix_).append(name).append("\r\n", 2);
  return *this;
}

RespWriter& RespWriter::words(std::span<const std::string_view> command) {
  const wire::KeyPlaces keys = wire::key_places(command);
  this->command(command.size());
  for (size_t i = 0; i < command.size(); ++i) {
    keys.has(i) ? key(command[i]) : arg(command[i]);
  }
  return *this;
}

}  // namespace nb::redis
