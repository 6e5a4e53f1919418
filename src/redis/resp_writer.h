// RespWriter: formats commands as RESP2 arrays of bulk strings into a buffer that the caller owns
// (Redis serialization protocol, "Sending commands to a Redis server").
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace nb::redis {

class RespWriter {
 public:
  // `prefix` goes before each key (key_prefix.h), and must outlive the writer.
  explicit RespWriter(std::string& out, std::string_view prefix = {})
      : out_(out), prefix_(prefix) {}

  // Begins a command of `arguments` words, its name included; exactly that many must follow.
  RespWriter& command(size_t arguments);
  RespWriter& arg(std::string_view text);
  RespWriter& arg(int64_t number);
  // A key, a channel, or a pattern of either.
  RespWriter& key(std::string_view name);
  // A whole command, whose keys are where wire::key_places() says.
  RespWriter& words(std::span<const std::string_view> command);

 private:
  void append(const char* begin, const char* end);

  std::string& out_;
  std::string_view prefix_;
};

}  // namespace nb::redis
