#include "gate/mcp_web.h"

#include <utility>

#include "mcp_http/token.h"

namespace nb::gate {
namespace {

using Handler = http::Router::Handler;

void add_methods(http::Router& router, Handler handler) {
  for (const char* method : mcp_http::Endpoint::kMethods)
    router.add(method, McpWeb::kPath, handler);
}

}  // namespace

McpWeb::McpWeb(uv::Loop& loop, mcp::Toolbox& toolbox, Agent& agent, std::string token)
    : token_(std::move(token)),
      endpoint_(loop, toolbox),
      news_(toolbox, agent,
            {Delegate<void()>::to<&mcp_http::Endpoint::tools_changed>(&endpoint_),
             Delegate<void(mcp::LogWord, std::string_view)>::to<&mcp_http::Endpoint::log>(
                 &endpoint_)}) {}

void McpWeb::add(http::Router& router) {
  add_methods(router, Handler::to<&mcp_http::Endpoint::handle>(&endpoint_));
}

void McpWeb::add_guarded(http::Router& router) {
  add_methods(router, Handler::to<&McpWeb::handle_guarded>(this));
}

void McpWeb::handle_guarded(const http::Request& request, http::Reply&& reply) {
  if (token_.empty() || mcp_http::shows_token(request, token_)) {
    return endpoint_.handle(request, std::move(reply));
  }
  reply.send({.status = 401,
              .body = "expected `Authorization: Bearer TOKEN`, with the token of this server\n",
              .headers = {{"WWW-Authenticate", "Bearer"}}});
}

}  // namespace nb::gate
