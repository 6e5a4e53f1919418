#include "redis/resp_writer.h"

#include <charconv>

namespace nb::redis {

void RespWriter::header(char kind, uint64_t number) {
  char text[24];
  text[0] = kind;
  char* end = std::to_chars(text + 1, text + sizeof text - 2, number).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out_.append(text, static_cast<size_t>(end - text));
}

RespWriter& RespWriter::command(size_t arguments) {
  header('*', arguments);
  return *this;
}

RespWriter& RespWriter::arg(std::string_view text) {
  header('$', text.size());
  out_ += text;
  out_ += "\r\n";
  return *this;
}

RespWriter& RespWriter::arg(int64_t number) {
  char text[24];
  const auto end = std::to_chars(text, text + sizeof text, number).ptr;
  return arg(std::string_view(text, static_cast<size_t>(end - text)));
}

}  // namespace nb::redis
