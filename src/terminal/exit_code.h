// What nodebeatctl ends with. Also in --help and nodebeatctl(1).
#pragma once

namespace nb::terminal {

enum ExitCode : int {
  kOk = 0,
  kFound = 1,           // a problem was found, or what was asked for was not
  kUsage = 2,           // the command line is wrong
  kAway = 3,            // no agent there, or lost
  kRefused = 4,         // the agent said no
  kTimeout = 5,         // no answer, or no confirmation, in time
  kRefusedByRedis = 6,  // Redis said no to a write: its permissions, a key of another type
  kOutput = 7,          // standard output could not be written; the result is not known from here
};

// doctor's own: the worst finding decides.
enum DoctorCode : int { kHealthy = 0, kWarnings = 1, kProblems = 2 };

}  // namespace nb::terminal
