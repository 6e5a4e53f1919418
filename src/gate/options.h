// The command line of nodebeat-gate.
#pragma once

#include <cstdint>
#include <string>

#include "base/log.h"
#include "base/result.h"

namespace nb::gate {

inline constexpr char kDefaultSocket[] = "/run/nodebeat/view.sock";

enum class Command : uint8_t {
  serve,    // the service
  version,  // print it, and end
  help,
};

struct Options {
  Command command = Command::serve;
  std::string socket = kDefaultSocket;  // the agent's
  LogLevel log_level = LogLevel::info;
};

// `socket_of_environment` is $NODEBEAT_SOCKET, or empty. The error says what is wrong in words.
Result<Options> parse_options(int argc, char** argv, const std::string& socket_of_environment);

std::string help_text();

}  // namespace nb::gate
