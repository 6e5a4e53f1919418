// The process at the other end of a connection, as the kernel reports it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/unique_fd.h"

namespace nb::ipc {

// The process that called connect(). It may have handed the socket to another process since.
struct Peer {
  int pid = 0;
  uint32_t uid = 0, gid = 0;
};

std::optional<Peer> peer_of(int fd);

// Whether the other end of this connection is closed for good.
bool has_hung_up(int fd);

// A descriptor that becomes readable when the process that connected is gone, even if another
// process holds its end of the connection open (a child that inherited it). There is none where
// that cannot be known: the process is in another pid namespace (its pid is 0); or it is gone
// already, and another process is speaking; or the system or its sandbox has no such descriptors.
UniqueFd process_of(int fd, const Peer& peer);
// The same by pid, for systems before Linux 6.5, where the socket cannot be asked. If the process
// is gone, its pid may belong to another process.
UniqueFd process_numbered(int pid);

// Whether a process lives, or how it has ended, as far as the kernel reports it.
struct ProcessEnd {
  enum class How : uint8_t {
    lives,
    // More is not known: its parent has not waited for it yet, or the kernel does not report it
    // (before Linux 6.15).
    ended,
    exited,  // `number` is its exit code
    killed,  // by the signal `number`
  };
  How how = How::lives;
  int number = 0;
  bool dumped_core = false;
};
// `process`: a descriptor of process_of().
ProcessEnd end_of(int process);

// Whether the peer's user is among `users`, or its group, or one of its further groups, among
// `groups`. Both empty: everybody.
bool is_allowed(int fd, const Peer& peer, const std::vector<uint32_t>& users,
                const std::vector<uint32_t>& groups);

}  // namespace nb::ipc
