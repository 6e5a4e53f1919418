// The context that every command gets.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "config/redis_url.h"
#include "ctl/agent_link.h"
#include "terminal/say.h"

namespace nb::ctl {

using namespace terminal;

struct Context : Output {
  std::string socket;
  int64_t timeout_ms = 3000;
  // Without an agent: the Redis that is read.
  std::optional<config::RedisAddress> redis;
  std::string redis_prefix;  // of the cell that is looked at there

  AgentLink::Options link_options() const { return {socket, timeout_ms, nullptr, nullptr}; }
  // Where the cell is looked at: through the agent, or in Redis. `on_event` is called with `user`.
  std::unique_ptr<Source> source(Source::EventFn on_event = nullptr, void* user = nullptr) const;
};

inline ExitCode complain(const Answer& answer) {
  return terminal::complain(answer.exit, answer.text);
}

}  // namespace nb::ctl
