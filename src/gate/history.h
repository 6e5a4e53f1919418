// History: /history, the past beats of a node for the page's charts. The agent thins them; browsers
// that ask the same at the same time share one answer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gate/agent.h"
#include "http/reply.h"

namespace nb::gate {

class History {
 public:
  explicit History(Agent& agent) : agent_(agent) {}

  // `?node=NAME&range=R`, R being `minutes` (the last ten), `hour` or `day`.
  void handle(const http::Request& request, http::Reply&& reply);

 private:
  // Of all browsers; each costs the server as many reads as there are points.
  static constexpr size_t kMostReadings = 4;
  static constexpr size_t kMostWaiting = 64;

  struct Reading {
    Reading(History& all, std::string what);
    void on_answer(const CallAnswer& answer);

    History& history;
    std::string params;
    AgentCall call;
    std::vector<http::Reply> replies;
  };
  void begin_waiting();

  Agent& agent_;
  std::vector<std::unique_ptr<Reading>> readings_;  // the first kMostReadings are under way
};

}  // namespace nb::gate
