// Which paths the loop's thread may use itself: a file server that is gone keeps every process
// waiting for ever that looks up a path on it. The mount table decides, so nothing that may hang is
// touched.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "config/config.h"

namespace nb::agent {

// The file system of an absolute path, as "nfs4 at /mnt/nas", if it may keep its caller waiting;
// nothing if it is local, or if the table does not show it. `mountinfo` is the text of
// /proc/self/mountinfo.
std::optional<std::string> slow_file_system(std::string_view path, std::string_view mountinfo);

// The path beside which notes of runs, stroke sessions and robots are kept: the path of the socket.
// Empty if there is no socket, or if the socket's folder may keep its caller waiting: that is
// logged as a warning.
std::string notes_path(const config::Config& config, const Log& log);

}  // namespace nb::agent
