#include "ipc/peer.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
#ifndef SO_PEERPIDFD  // since Linux 6.5
#define SO_PEERPIDFD 77
#endif
#ifndef SYS_pidfd_open  // since Linux 5.3
#define SYS_pidfd_open 434
#endif

namespace nb::ipc {

std::optional<Peer> peer_of(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return std::nullopt;
  return Peer{credentials.pid, credentials.uid, credentials.gid};
}

namespace {

UniqueFd if_alive(UniqueFd process) {
  pollfd gone{process.get(), POLLIN, 0};
  if (process && ::poll(&gone, 1, 0) != 0) process.reset();
  return process;
}

}  // namespace

bool has_hung_up(int fd) {
  pollfd p{fd, 0, 0};
  return ::poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

UniqueFd process_of(int fd, const Peer& peer) {
  int process = -1;
  socklen_t size = sizeof process;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &process, &size) == 0) {
    return if_alive(UniqueFd(process));
  }
  return errno == ENOPROTOOPT ? process_numbered(peer.pid) : UniqueFd();
}

UniqueFd process_numbered(int pid) {
  if (pid <= 0) return {};
  return if_alive(UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))));
}

ProcessEnd end_of(int process) {
  // struct pidfd_info in its first size, since Linux 6.13; PIDFD_INFO_EXIT since 6.15. Debian's
  // headers do not have it yet.
  struct Info {
    uint64_t mask, cgroup;
    uint32_t ids[11];
    int32_t exit_code;
  } info{};
  static_assert(sizeof info == 64);
  constexpr uint64_t kExit = 1u << 3;
  pollfd gone{process, POLLIN, 0};
  if (::poll(&gone, 1, 0) != 1) return {};
  info.mask = kExit;
  if (::ioctl(process, _IOC(_IOC_READ | _IOC_WRITE, 0xff, 11, sizeof info), &info) != 0 ||
      (info.mask & kExit) == 0) {
    return {ProcessEnd::How::ended};
  }
  // As waitpid() has it.
  if (WIFSIGNALED(info.exit_code)) {
    return {ProcessEnd::How::killed, WTERMSIG(info.exit_code), WCOREDUMP(info.exit_code) != 0};
  }
  return {ProcessEnd::How::exited, WEXITSTATUS(info.exit_code)};
}

bool is_allowed(int fd, const Peer& peer, const std::vector<uint32_t>& users,
                const std::vector<uint32_t>& groups) {
  const auto has = [](const std::vector<uint32_t>& list, uint32_t id) {
    return std::find(list.begin(), list.end(), id) != list.end();
  };
  if (users.empty() && groups.empty()) return true;
  if (has(users, peer.uid) || has(groups, peer.gid)) return true;
  if (groups.empty()) return false;
  // Since Linux 4.13; before it only the primary group counts.
  gid_t more[256];
  socklen_t size = sizeof more;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, more, &size) != 0) return false;
  return std::any_of(more, more + size / sizeof more[0], [&](gid_t id) { return has(groups, id); });
}

}  // namespace nb::ipc
