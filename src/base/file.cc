#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"

namespace nb {

namespace {

// That there is no such file says something of it. All else, such as a disk that fails or a server
// of files that is away, says that it was not seen.
Error system_error(const std::string& path) {
  const bool says_something = errno == ENOENT || errno == ENOTDIR || errno == ESRCH;
  const Fault fault = says_something ? Fault::other : Fault::blind;
  return make_error("%s: %s", path.c_str(), std::strerror(errno)).as(fault);
}

}  // namespace

Result<std::string> read_descriptor(int fd, const std::string& path, size_t limit) {
  std::string text;
  for (;;) {
    char chunk[4096];
    const ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n < 0) {
      if (errno == EINTR) continue;
      return system_error(path);
    }
    if (n == 0) return text;
    if (text.size() + static_cast<size_t>(n) > limit) {
      return make_error("%s: longer than the %zu bytes allowed here", path.c_str(), limit);
    }
    text.append(chunk, static_cast<size_t>(n));
  }
}

Result<std::string> read_small_file(const std::string& path, size_t limit) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return system_error(path);
  return read_descriptor(fd.get(), path, limit);
}

Result<std::string> read_plain_file(const std::string& path, size_t limit) {
  const UniqueFd fd(
      ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd && errno == ELOOP) {
    return make_error("%s is a symbolic link, which is not followed: name the file itself",
                      path.c_str())
        .as(Fault::blind);
  }
  if (!fd && errno != ENXIO) return system_error(path);  // ENXIO: a socket
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return make_error("%s is no regular file", path.c_str()).as(Fault::blind);
  }
  return read_descriptor(fd.get(), path, limit);
}

}  // namespace nb
