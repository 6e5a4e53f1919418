#include "redis/command.h"

#include <array>

#include "wire/stream_id.h"

namespace nb::redis {

using namespace std::string_view_literals;  // built for size, only these know their length

std::string_view name(Command command) {
  constexpr std::array<std::string_view, kCommands> kNames = {
      "PING", "MULTI",  "HGET",      "HSET", "PEXPIRE", "SET",    "SET",
      "DEL",  "SELECT", "XREVRANGE", "XADD", "PEXPIRE", "PUBLISH"};
  return kNames[static_cast<size_t>(command)];
}

bool has_form(Command command, Reply reply) {
  switch (command) {
    case Command::ping:
      return reply.is_status("PONG"sv);
    case Command::multi:
    case Command::select:
    case Command::set:
      return reply.is_status("OK"sv);
    case Command::set_if_missing:
      return reply.is_status("OK"sv) || reply.is_nil();  // nil: there is a value
    case Command::hget:
      return reply.is_string() || reply.is_nil();
    case Command::find_entry:
      return reply.is_array();
    case Command::xadd:
      return reply.is_string() && wire::parse_stream_id(reply.text());
    case Command::hset:
    case Command::del:
    case Command::pexpire:
    case Command::expire_stream:
    case Command::publish:
      return reply.integer().value_or(-1) >= 0;
  }
  return false;
}

}  // namespace nb::redis
