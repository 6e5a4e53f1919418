// Errors: error.report.
#pragma once

#include <string>

#include "cell/events.h"
#include "config/config.h"
#include "node/identity.h"
#include "rpc/method.h"
#include "uv/loop.h"

namespace nb::cell {

class Errors {
 public:
  // All references must outlive it, but for `config`.
  Errors(uv::Loop& loop, const node::Identity& identity, Events& events,
         const config::Config& config);
  void reconfigure(const config::Config& config) { max_age_ = config.outbox.max_age; }

  static const rpc::Method kMethods[1];
  void report(rpc::Call& call);

 private:
  uv::Loop& loop_;
  const node::Identity& identity_;
  Events& events_;
  Duration max_age_{};
  std::string event_;  // reused
};

}  // namespace nb::cell
