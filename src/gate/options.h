// The command line of nodebeat-gate.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "http/listen.h"

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
  std::string mcp_socket;               // where to serve MCP; empty: nowhere
  uint32_t mcp_socket_mode = 0660;
  std::string mcp_socket_group;  // empty: that of the process
  LogLevel log_level = LogLevel::info;
  std::string version;                  // of this program
  std::optional<http::Address> http;    // where to serve HTTP; nothing: nowhere
  std::vector<std::string> http_hosts;  // further names by which clients call this computer
  bool http_remote = false;             // `http` may be an address that other computers reach
  bool http_mcp = false;                // `http` serves MCP as well
  std::string mcp_token_file;           // its clients have to show its content; empty: none
};

// `socket_of_environment` is $NODEBEAT_SOCKET, or empty. The error says what is wrong in words.
Result<Options> parse_options(int argc, char** argv, const std::string& socket_of_environment);

std::string help_text();

}  // namespace nb::gate
