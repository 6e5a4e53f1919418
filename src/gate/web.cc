#include "gate/web.h"

#include <utility>

#include "gate/page.h"

namespace nb::gate {
namespace {

using Handler = http::Router::Handler;

http::Origins origins(const WebOptions& options) {
  std::vector<std::string> names = options.hosts;
  const std::string& host = options.address.host;
  // An address that means all addresses is no host's name.
  if (host != "0.0.0.0" && host != "::") names.push_back(host);
  return http::Origins(std::move(names));
}

}  // namespace

Web::Web(uv::Loop& loop, Agent& agent, const WebOptions& options, const Log& log)
    : log_(log),
      address_(options.address),
      scrape_(loop, agent, options.version,
              Delegate<metrics::GateFigures()>::to<&Web::figures>(this)),
      readiness_(agent),
      view_(loop, agent, options.version),
      history_(agent),
      server_(loop, {}, origins(options), Handler::to<&http::Router::handle>(&router_)) {
  router_.add("GET", "/metrics", Handler::to<&Scrape::handle>(&scrape_));
  router_.add("GET", "/readyz", Handler::to<&Readiness::handle_ready>(&readiness_));
  router_.add("GET", "/events", Handler::to<&CellView::handle>(&view_));
  router_.add("GET", "/history", Handler::to<&History::handle>(&history_));
  add_page(router_);
  for (const char* path : {"/livez", "/healthz"}) {
    router_.add("GET", path, Handler::to<&Readiness::handle_live>(&readiness_));
  }
}

metrics::GateFigures Web::figures() const {
  const http::ServerFigures& server = server_.figures();
  return {server.requests,  server.refused, server.timeouts,
          server.displaced, server.cut_off, server.connections};
}

Status Web::start() {
  auto listening = http::listen_on(address_);
  if (!listening) return listening.error();
  const std::string url = http::url_of(listening->get());
  if (Status started = server_.start(std::move(*listening)); !started) return started;
  log_.info("serving HTTP at %s", url.c_str());
  return {};
}

}  // namespace nb::gate
