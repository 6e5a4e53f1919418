// The context that every command gets.
#pragma once

#include <cstdint>
#include <string>

#include "ctl/agent_link.h"
#include "terminal/say.h"

namespace nb::ctl {

using namespace terminal;

struct Context : Output {
  std::string socket;
  int64_t timeout_ms = 3000;

  AgentLink::Options link_options() const { return {socket, timeout_ms, nullptr, nullptr}; }
};

inline ExitCode complain(const Answer& answer) {
  return terminal::complain(answer.exit, answer.text);
}

}  // namespace nb::ctl
