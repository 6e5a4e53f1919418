// A server of MCP over HTTP for the official conformance package: nodebeat's own protocol and
// transport, with the fixtures that the package asks for. Prints its address; SIGTERM ends it.
#include <csignal>
#include <cstdio>

#include "base/clock.h"
#include "fixtures.h"
#include "http/listen.h"
#include "http/router.h"
#include "http/server.h"
#include "mcp_http/endpoint.h"
#include "uv/loop.h"

int main() {
  using namespace nb;
  std::signal(SIGPIPE, SIG_IGN);
  const SystemClock clock;
  uv::Loop loop(clock);
  conformance::Fixtures fixtures(loop);
  mcp_http::Endpoint endpoint(loop, fixtures);
  fixtures.set_on_tools(Delegate<void()>::to<&mcp_http::Endpoint::tools_changed>(&endpoint));
  http::Router router;
  for (const char* method : mcp_http::Endpoint::kMethods) {
    router.add(method, "/mcp", http::Router::Handler::to<&mcp_http::Endpoint::handle>(&endpoint));
  }
  http::Server server(loop, {}, http::Origins(),
                      http::Router::Handler::to<&http::Router::handle>(&router));
  auto listening = http::listen_on({"127.0.0.1", 0});
  if (!listening.ok()) return 1;
  const std::string url = http::url_of(listening->get());
  if (!server.start(std::move(*listening)).ok()) return 1;
  std::printf("%smcp\n", url.c_str());
  std::fflush(stdout);
  loop.run();
  return 0;
}
