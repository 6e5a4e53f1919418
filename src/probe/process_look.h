// Whether a process lives, from /proc. Every function here reads files and may be held up by them
// (a command line is read under the lock of that process's memory), so all are for a thread of
// their own (ProcessCheck).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/result.h"

namespace nb::probe {

// A process, told from a later one with the same number by when it was started.
struct ProcessId {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // since boot; 0: /proc does not show it (mounted with hidepid)
};

// The process whose number is the first line of `pidfile`, which is read by read_plain_file(): no
// link is followed. The error says why there is none, and repeats nothing of the file, whatever
// file that may be; it is Fault::blind if the look itself failed.
//
// A number that another process got in the meantime is not noticed: the file's time of writing
// cannot be compared with a start since boot on machines whose clock is set after booting.
Result<ProcessId> find_by_pidfile(const std::string& proc_root, const std::string& pidfile);

// The lowest-numbered process whose command line, its words joined by single spaces, contains
// `text`; not this process itself. `known`, if it still is one, before all others. The error is
// Fault::blind if none is found among those that /proc shows, but it does not show all.
Result<ProcessId> find_by_command(const std::string& proc_root, const std::string& text,
                                  const ProcessId& known = {});

// It still lives, though perhaps with another command line since an exec().
bool same_process(const std::string& proc_root, const ProcessId& process);

}  // namespace nb::probe
