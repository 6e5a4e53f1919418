// RespWriter: formats commands as RESP2 arrays of bulk strings into a buffer that the caller owns
// (Redis serialization protocol, "Sending commands to a Redis server").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nb::redis {

class RespWriter {
 public:
  explicit RespWriter(std::string& out) : out_(out) {}

  // Begins a command of `arguments` words, its name included; exactly that many must follow.
  RespWriter& command(size_t arguments);
  RespWriter& arg(std::string_view text);
  RespWriter& arg(int64_t number);

 private:
  void append(const char* begin, const char* end);

  std::string& out_;
};

}  // namespace nb::redis
