// Which paths the thread that beats may use itself: a file server that has gone keeps whoever looks
// up a path on it waiting for ever. Found out from the mount table, so that nothing is touched that
// may hang.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "config/config.h"

namespace nb::agent {

// The file system that an absolute path lies on, as "nfs4 at /mnt/nas", if it may keep its caller
// waiting; nothing if it is local, or if the table does not tell. `mountinfo` is the text of
// /proc/self/mountinfo.
std::optional<std::string> slow_file_system(std::string_view path, std::string_view mountinfo);

// Beside which path the notes of runs and stroke sessions are kept: the socket's, or empty if there
// is no socket, or if its folder may keep its caller waiting, which is a warning.
std::string notes_path(const config::Config& config, const Log& log);

}  // namespace nb::agent
