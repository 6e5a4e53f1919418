// The exit codes of nodebeatctl. --help and nodebeatctl(1) list them too.
#pragma once

namespace nb::terminal {

enum ExitCode : int {
  kOk = 0,
  kFound = 1,           // a problem was found, or the requested value was not
  kUsage = 2,           // the command line is wrong
  kAway = 3,            // there is no agent, or it went away
  kRefused = 4,         // the agent refused
  kTimeout = 5,         // no answer, or no confirmation, in time
  kRefusedByRedis = 6,  // Redis refused a write: a permission, or a key of another type
  kOutput = 7,          // standard output could not be written
  kForbidden = 8,       // the agent's socket does not give the right
  kTooMany = 9,         // more calls than the socket allows in a second
};

// The codes of doctor and redis check: the worst finding decides.
enum DoctorCode : int { kHealthy = 0, kWarnings = 1, kProblems = 2 };

}  // namespace nb::terminal
