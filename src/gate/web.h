// Web: the gate's paths of HTTP.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "gate/agent.h"
#include "gate/cell_view.h"
#include "gate/history.h"
#include "gate/readiness.h"
#include "gate/scrape.h"
#include "http/listen.h"
#include "http/router.h"
#include "http/server.h"

namespace nb::gate {

struct WebOptions {
  http::Address address;
  // Names by which clients call this computer, besides localhost and the address.
  std::vector<std::string> hosts;
  std::string version;
};

class Web {
 public:
  // `log` must outlive this object.
  Web(uv::Loop& loop, Agent& agent, const WebOptions& options, const Log& log);
  Web(const Web&) = delete;
  Web& operator=(const Web&) = delete;

  // Listens, and logs where.
  Status start();
  // Writes at once as much as possible.
  void flush() { server_.flush(); }

  // For further paths: before start().
  http::Router& router() { return router_; }

 private:
  metrics::GateFigures figures() const;

  const Log& log_;
  http::Address address_;
  Scrape scrape_;
  Readiness readiness_;
  CellView view_;
  History history_;
  http::Router router_;
  http::Server server_;
};

}  // namespace nb::gate
