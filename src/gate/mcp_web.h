// McpWeb: the Model Context Protocol over HTTP, at /mcp of any server here.
#pragma once

#include <string>

#include "gate/agent_news.h"
#include "http/router.h"
#include "mcp_http/endpoint.h"

namespace nb::gate {

class McpWeb {
 public:
  static constexpr char kPath[] = "/mcp";

  // `token`: the token that clients of add_guarded() have to show; empty: none.
  McpWeb(uv::Loop& loop, mcp::Toolbox& toolbox, Agent& agent, std::string token);
  McpWeb(const McpWeb&) = delete;
  McpWeb& operator=(const McpWeb&) = delete;

  // For a socket whose file's mode decides who may connect.
  void add(http::Router& router);
  // Where everybody of this computer, or a network, may connect.
  void add_guarded(http::Router& router);
  void end() { endpoint_.end(); }

 private:
  void handle_guarded(const http::Request& request, http::Reply&& reply);

  std::string token_;
  mcp_http::Endpoint endpoint_;
  AgentNews news_;
};

}  // namespace nb::gate
