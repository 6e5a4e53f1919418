// Files of our own in a folder where others may have put something: beside the socket, which an
// operator may have in /tmp. No link is followed, and no call waits. Anything but a plain file of
// this user, or of root, with one name only, is left alone.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace nb {

// Like open(2), with O_CLOEXEC, O_NOFOLLOW and O_NONBLOCK. Do not pass O_TRUNC: the file would be
// cut before the checks. The error names the path and the reason. Its fault is that of errno, or
// no_place if something else is at the path.
Result<UniqueFd> open_own_file(const std::string& path, int flags, mode_t mode = 0640);

// Reads the whole file. A file that is longer than `limit` bytes is an error.
Result<std::string> read_own_file(const std::string& path, size_t limit = 64 * 1024);

// Replaces the file in one step, by way of "PATH~".
Status replace_own_file(const std::string& path, std::string_view text);

}  // namespace nb
