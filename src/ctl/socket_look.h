// What stands at the socket's path, and why an agent cannot be reached there, in words.
#pragma once

#include <cstdint>
#include <string>

namespace nb::ctl {

enum class SocketState : uint8_t {
  listening,
  missing,        // nothing at that path
  not_permitted,  // the file or a folder above it says no
  no_socket,      // something else lies there
  dead,           // a socket that nobody listens at
  overrun,        // listening, but it takes no more connections
  too_long,       // no socket can have such a path
  other,          // `error` says it
};

struct SocketLook {
  SocketState state = SocketState::other;
  std::string path;
  std::string owner, group;            // by name, or number; empty if it could not be looked at
  unsigned mode = 0;                   // 0660
  bool user_is_in_group = false;       // this process is
  bool user_will_be_in_group = false;  // the user is, but this login began before
  int error = 0;                       // errno
};

SocketLook look_at_socket(const std::string& path);

// Why there is no way to the agent, as one sentence that says what to do. Not for `listening`.
std::string words(const SocketLook& look);

}  // namespace nb::ctl
