// How a command reports: its result on standard output, a fault on standard error.
#pragma once

#include <string_view>

#include "terminal/exit_code.h"
#include "terminal/style.h"

namespace nb::terminal {

// The form of a command's result.
struct Output {
  bool json = false;
  Style style;
};

// Writes to stdout. A command whose output cannot be written has failed: kOutput, with the reason
// on stderr.
ExitCode say(std::string_view text);
// Reports that the output could not be written, for this errno; returns kOutput.
ExitCode output_fault(int error);
// Writes JSON to stdout, in a line of its own; see json_printable().
ExitCode say_json(std::string_view json);
// Writes "nodebeatctl: <sentence>" to stderr; returns `exit`.
ExitCode complain(ExitCode exit, std::string_view sentence);

}  // namespace nb::terminal
