// Reading small files whole: pseudo-files of the kernel, secrets, pid files.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"

namespace nb {

// Reads at most `limit` bytes of `path`; a longer file is an error. A FIFO is opened with
// O_NONBLOCK, so this never waits for a writer. The error names the path and the system's reason.
Result<std::string> read_small_file(const std::string& path, size_t limit = 64 * 1024);

// Like read_small_file(), for a path where another user may have put something: a symbolic link in
// the last place is not followed, and only a regular file is read. The error is Fault::blind if it
// says nothing about the file's content.
Result<std::string> read_plain_file(const std::string& path, size_t limit);

// Reads the rest of `fd`, at most `limit` bytes, as above. `path` is the name in errors.
Result<std::string> read_descriptor(int fd, const std::string& path, size_t limit);

}  // namespace nb
