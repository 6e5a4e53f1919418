// A socket that the service manager has made and handed over: sd_listen_fds(3).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace nb::ipc {

using Environment = std::vector<std::pair<std::string, std::string>>;

// The descriptors that LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES name for the process `pid`, one
// for each of `names` (FileDescriptorName= of a socket unit): the descriptor of that name, or -1.
// The only descriptor is the first of the names', whatever it is called. All are made
// close-on-exec. Returns an error if one is no listening Unix stream socket, or if several could be
// meant.
Result<std::vector<int>> activated_fds(const Environment& environment, int pid,
                                       const std::vector<std::string>& names);

// Whether `fd` is a listening Unix stream socket; the error says what it is instead.
Status check_listening(int fd);

}  // namespace nb::ipc
