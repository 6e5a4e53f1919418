#include "base/file.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"

namespace nb {

Result<std::string> read_small_file(const std::string& path, size_t limit) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return make_error("%s: %s", path.c_str(), std::strerror(errno));
  std::string text;
  for (;;) {
    char chunk[4096];
    const ssize_t n = ::read(fd.get(), chunk, sizeof chunk);
    if (n < 0) {
      if (errno == EINTR) continue;
      return make_error("%s: %s", path.c_str(), std::strerror(errno));
    }
    if (n == 0) return text;
    if (text.size() + static_cast<size_t>(n) > limit) {
      return make_error("%s: longer than the %zu bytes allowed here", path.c_str(), limit);
    }
    text.append(chunk, static_cast<size_t>(n));
  }
}

}  // namespace nb
