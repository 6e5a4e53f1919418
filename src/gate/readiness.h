// Readiness: /livez, /readyz and /healthz, for programs that restart the gate or send requests to
// it.
#pragma once

#include <string>
#include <vector>

#include "gate/agent.h"
#include "http/reply.h"

namespace nb::gate {

class Readiness {
 public:
  explicit Readiness(Agent& agent);

  // Always 200: a gate that answers lives. A restart of the gate would not bring back an absent
  // agent.
  void handle_live(const http::Request& request, http::Reply&& reply);
  // 200 if the agent answers and is connected to Redis, else 503 with the reason. With `?verbose` a
  // line for each of the two.
  void handle_ready(const http::Request& request, http::Reply&& reply);

 private:
  struct Waiter {
    http::Reply reply;
    bool verbose;
  };
  void on_stats(const CallAnswer& answer);

  AgentCall stats_call_;
  std::vector<Waiter> waiting_;
};

}  // namespace nb::gate
