#include "gate/serve.h"

#include <sysexits.h>

#include <memory>

#include "base/clock.h"
#include "gate/agent.h"
#include "gate/ending.h"
#include "gate/web.h"
#include "uv/loop.h"

namespace nb::gate {
namespace {

class Service {
 public:
  Service(uv::Loop& loop, const Options& options, const Log& log)
      : loop_(loop),
        log_(log),
        ending_(loop, Delegate<void()>::to<&Service::on_ending>(this)),
        agent_(loop, {.socket = options.socket}, log) {
    if (!options.http) return;
    const WebOptions web{*options.http, options.http_hosts, options.version};
    web_ = std::make_unique<Web>(loop, agent_, web, log);
  }

  int run() {
    if (!ending_.ok()) {
      log_.every(LogLevel::error, "the system gives no descriptor for signals");
      return EX_OSERR;
    }
    if (web_) {
      if (const Status started = web_->start(); !started) {
        log_.every(LogLevel::error, "%s", started.error().message.c_str());
        return EX_OSERR;
      }
    }
    agent_.start();
    loop_.run();
    return EX_OK;
  }

 private:
  void on_ending() { loop_.stop(); }

  uv::Loop& loop_;
  const Log& log_;
  Ending ending_;
  Agent agent_;
  std::unique_ptr<Web> web_;  // null: nothing is served over HTTP
};

}  // namespace

int serve(const Options& options, const Log& log) {
  const SystemClock clock;
  uv::Loop loop(clock);
  if (!loop.ok()) {
    log.every(LogLevel::error, "the system gives no descriptor for an event loop");
    return EX_OSERR;
  }
  return Service(loop, options, log).run();
}

}  // namespace nb::gate
