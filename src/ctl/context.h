// Context: what every command is given. And the ways in which a command ends.
#pragma once

#include <string>
#include <string_view>

#include "ctl/agent_link.h"
#include "ctl/style.h"

namespace nb::ctl {

struct Context {
  std::string socket;
  int64_t timeout_ms = 3000;
  bool json = false;
  Style style;

  AgentLink::Options link_options() const { return {socket, timeout_ms, nullptr, nullptr}; }
};

// Writes to stdout. A command whose output cannot be written has failed: kOutput, and the reason is
// told on stderr.
ExitCode say(std::string_view text);
// The end of a command whose output could not be written, for that errno.
ExitCode output_fault(int error);
// JSON to stdout, in a line of its own; see json_printable().
ExitCode say_json(std::string_view json);
// "nodebeatctl: <sentence>" to stderr; returns `exit`.
ExitCode complain(ExitCode exit, std::string_view sentence);
inline ExitCode complain(const Answer& answer) {
  return complain(answer.exit, answer.text);
}

}  // namespace nb::ctl
