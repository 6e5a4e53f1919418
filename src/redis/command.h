// Command: the commands that the agent writes with, and which reply says that Redis has carried one
// out. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "redis/reply.h"

namespace nb::redis {

enum class Command : uint8_t {
  ping,
  multi,
  hget,
  hset,
  pexpire,
  set,
  set_if_missing,
  del,
  select,
  find_entry,
  xadd,
  expire_stream,
  publish
};
inline constexpr size_t kCommands = 13;

// "XADD": for a person.
std::string_view name(Command command);

// Whether the reply is one that Redis gives after it has carried this command out. Only such a
// reply acknowledges a write: a server that answers otherwise is not Redis, or is out of step.
bool has_form(Command command, Reply reply);

}  // namespace nb::redis
