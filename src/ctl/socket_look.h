// Tests what is at the socket's path, and says in words why no agent can be reached there.
#pragma once

#include <cstdint>
#include <string>

namespace nb::ctl {

enum class SocketState : uint8_t {
  listening,
  missing,        // there is nothing at that path
  not_permitted,  // the mode of the file, or of a folder above it, does not allow it
  no_socket,      // something else is there
  dead,           // no process listens at that socket
  overrun,        // a process listens, but accepts no more connections
  too_long,       // no socket can have such a long path
  other,          // see `error`
};

struct SocketLook {
  SocketState state = SocketState::other;
  std::string path;
  std::string owner, group;            // name or number; empty if they could not be read
  unsigned mode = 0;                   // 0660
  bool user_is_in_group = false;       // this process is in the group
  bool user_will_be_in_group = false;  // the user is, but only since after this login
  int error = 0;                       // errno
};

SocketLook look_at_socket(const std::string& path);

// Why the agent cannot be reached, as one sentence that says what to do. Not for `listening`.
std::string words(const SocketLook& look);

}  // namespace nb::ctl
