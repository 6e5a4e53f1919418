// The configuration of MCP clients, so that they start nodebeat-gate, or use a running one. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nb::ctl {

struct McpServer {
  std::string program = "/usr/bin/nodebeat-gate";
  std::string socket;  // the agent's; empty: the one that nodebeat-gate uses by itself
  bool allow_writes = false;
  std::string host;         // where the agent is, reached by ssh; empty: this computer
  std::string url;          // of /mcp of a service; empty: clients start a gate of their own
  bool with_token = false;  // the service wants one
};

// The command that a client has to start.
std::vector<std::string> mcp_command(const McpServer& server);

// The mistake in the address of a service; empty: none.
std::string fault_in_url(const McpServer& server);

// {"mcpServers":{"nodebeat":{"command":…,"args":[…]}}}, or {…{"type":"http","url":…}}
std::string mcp_config_json(const McpServer& server);

// For people: each client, its file, and what to paste there.
std::string mcp_config_text(const McpServer& server);

}  // namespace nb::ctl
