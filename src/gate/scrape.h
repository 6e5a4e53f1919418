// Scrape: /metrics. It asks the agent for all figures, once for all requests at the same time, and
// at most once a second.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "gate/agent.h"
#include "http/reply.h"
#include "metrics/answers.h"
#include "uv/loop.h"

namespace nb::gate {

class Scrape {
 public:
  // `figures` are asked with each request.
  Scrape(uv::Loop& loop, Agent& agent, std::string version,
         Delegate<metrics::GateFigures()> figures);

  void handle(const http::Request& request, http::Reply&& reply);

 private:
  struct Waiter {
    http::Reply reply;
    metrics::Format format;
  };
  void begin();
  void ask_page(std::string_view params);
  void on_stats(const CallAnswer& answer) { take(answer, stats_); }
  void on_health(const CallAnswer& answer) { take(answer, health_); }
  void on_redis(const CallAnswer& answer) { take(answer, redis_); }
  void on_page(const CallAnswer& answer);
  void take(const CallAnswer& answer, std::string& text);
  void end_one();
  void answer_all();
  std::string text(metrics::Format format) const;

  uv::Loop& loop_;
  std::string version_;
  Delegate<metrics::GateFigures()> figures_;
  AgentCall stats_call_, health_call_, redis_call_, status_call_;
  int under_way_ = 0;  // calls
  MonoTime began_{};
  MonoTime gathered_ = MonoTime::min();
  // The answers, as long as they are fresh; empty: there was none.
  std::string stats_, health_, redis_;
  std::vector<std::string> pages_;
  std::vector<Waiter> waiting_;
};

}  // namespace nb::gate
