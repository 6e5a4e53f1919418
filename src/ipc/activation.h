// A socket that the service manager has made and handed over: sd_listen_fds(3).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace nb::ipc {

using Environment = std::vector<std::pair<std::string, std::string>>;

// The descriptor that LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES name for the process `pid`: the
// descriptor called `name`, or else the only one. -1: there is none for this process. The
// descriptor is made close-on-exec. Returns an error if the descriptor is no listening Unix stream
// socket, or if several could be meant.
Result<int> activated_fd(const Environment& environment, int pid,
                         const std::string& name = "nodebeat");

// Whether `fd` is a listening Unix stream socket; the error says what it is instead.
Status check_listening(int fd);

}  // namespace nb::ipc
