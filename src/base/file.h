// Reading small files whole: pseudo-files of the kernel, secrets, pid files.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"

namespace nb {

// Reads at most `limit` bytes of `path`; a longer file is an error. Does not block on a FIFO
// (opened O_NONBLOCK). The error names the path and the system's reason.
Result<std::string> read_small_file(const std::string& path, size_t limit = 64 * 1024);

}  // namespace nb
