// The command line of nodebeat-gate.
#pragma once

#include <cstdint>
#include <string>

#include "base/log.h"
#include "base/result.h"

namespace nb::gate {

inline constexpr char kDefaultSocket[] = "/run/nodebeat/view.sock";

enum class Command : uint8_t {
  mcp,      // the Model Context Protocol over standard input and output
  serve,    // the service
  version,  // print it, and end
  help,
};

struct Options {
  Command command = Command::serve;
  std::string socket = kDefaultSocket;  // the agent's
  bool allow_writes = false;            // of the tools
  LogLevel log_level = LogLevel::info;
  std::string version;  // of this program
};

// `socket_of_environment` is $NODEBEAT_SOCKET, or empty. The error says what is wrong in words.
Result<Options> parse_options(int argc, char** argv, const std::string& socket_of_environment);

std::string help_text();

}  // namespace nb::gate
