#include "ipc/peer.h"

#include <sys/socket.h>
#include <sys/types.h>

#include <algorithm>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

namespace nb::ipc {

std::optional<Peer> peer_of(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return std::nullopt;
  return Peer{credentials.pid, credentials.uid, credentials.gid};
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
