#include "ipc/activation.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/text.h"

namespace nb::ipc {
namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START
constexpr int kMost = 64;

std::string_view value_of(const Environment& environment, std::string_view name) {
  for (const auto& [key, value] : environment) {
    if (key == name) return value;
  }
  return {};
}

int option(int fd, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

}  // namespace

Status check_listening(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) {
    return make_error("descriptor %d, handed over as the socket, is not open: %s", fd,
                      std::strerror(errno));
  }
  if (!S_ISSOCK(status.st_mode)) {
    return make_error("descriptor %d, handed over as the socket, is no socket", fd);
  }
  if (option(fd, SO_DOMAIN) != AF_UNIX || option(fd, SO_TYPE) != SOCK_STREAM) {
    return make_error(
        "descriptor %d, handed over as the socket, is no Unix stream socket: the socket unit wants "
        "ListenStream= with a path",
        fd);
  }
  if (option(fd, SO_ACCEPTCONN) != 1) {
    return make_error(
        "descriptor %d, handed over as the socket, does not listen: the socket unit wants "
        "Accept=no",
        fd);
  }
  return {};
}

Result<std::vector<int>> activated_fds(const Environment& environment, int pid,
                                       const std::vector<std::string>& names) {
  std::vector<int> found(names.size(), -1);
  const std::string_view wanted_pid = value_of(environment, "LISTEN_PID");
  // These descriptors are for another process, from which this one has inherited its environment.
  if (parse_number<int>(wanted_pid) != pid) return found;
  const std::string count_text(value_of(environment, "LISTEN_FDS"));
  const auto count = parse_number<int>(count_text);
  if (!count || *count < 0 || *count > kMost) {
    return make_error("LISTEN_FDS is '%s', not a number of descriptors", count_text.c_str());
  }
  for (int i = 0; i < *count; ++i) {
    const int flags = ::fcntl(kFirst + i, F_GETFD);
    if (flags >= 0) (void)::fcntl(kFirst + i, F_SETFD, flags | FD_CLOEXEC);
  }

  bool named_twice = false;
  int nameless = 0;  // descriptors that have none of the names
  std::string_view given = value_of(environment, "LISTEN_FDNAMES");
  for (int i = 0; i < *count; ++i) {
    const size_t colon = given.find(':');
    const auto at = std::find(names.begin(), names.end(), given.substr(0, colon));
    if (at == names.end()) {
      ++nameless;
    } else {
      int& fd = found[static_cast<size_t>(at - names.begin())];
      named_twice |= fd >= 0;
      fd = kFirst + i;
    }
    given = colon == given.npos ? std::string_view() : given.substr(colon + 1);
  }
  // If there is only one, it is the first socket, whatever its name.
  if (*count == 1 && nameless == 1) found[0] = kFirst;
  if (named_twice || (nameless > 0 && found[0] < 0)) {
    return make_error(
        "%d sockets were handed over (LISTEN_FDS), %s of them called '%s': one socket unit, or "
        "FileDescriptorName=%s in one of them, says which is meant",
        *count, named_twice ? "more than one" : "none", names[0].c_str(), names[0].c_str());
  }
  for (const int fd : found) {
    if (fd < 0) continue;
    if (const Status listening = check_listening(fd); !listening) return listening.error();
  }
  return found;
}

}  // namespace nb::ipc
