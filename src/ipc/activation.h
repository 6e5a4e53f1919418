// A socket that the service manager has made and handed over: sd_listen_fds(3).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace nb::ipc {

using Environment = std::vector<std::pair<std::string, std::string>>;

// The descriptor that LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES name for the process `pid`: the
// one called `name`, or else the only one there is. -1 if there is none for us. It is made
// close-on-exec. An error if it is no listening Unix stream socket, or if it is not clear which
// one is meant.
Result<int> activated_fd(const Environment& environment, int pid,
                         const std::string& name = "nodebeat");

// Whether `fd` is a listening Unix stream socket; the error says what it is instead.
Status check_listening(int fd);

}  // namespace nb::ipc
