// D-Bus messages, as far as asking systemd for a unit's state needs them: method calls whose
// arguments are strings, and of what comes back the first string. Pure.
//
// Why not a library: in Debian 12 and 13, libdbus-1 and sd-bus (libsystemd) both bring libsystemd
// with liblzma, libzstd, liblz4 and libgcrypt; one connection cost 0.85 to 1.0 MB of private memory
// here, as much as the whole agent may have. GDBus brings threads of its own and GLib, libell a
// main loop in globals, and basu is not packaged. Spawning `systemctl is-active` needs
// a SIGCHLD handler (uv_spawn installs one for the whole process, which a library may not), and
// costs a process per question. What is left of D-Bus for two questions is below; it is fuzzed.
//
// dbus.freedesktop.org/doc/dbus-specification.html, "Message Protocol".
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nb::probe {

struct DbusCall {
  std::string_view destination;
  std::string_view path;
  std::string_view interface;
  std::string_view member;
};

// Appends a method call with string arguments, little-endian.
void append_dbus_call(std::string& out, uint32_t serial, const DbusCall& call,
                      std::initializer_list<std::string_view> arguments);

// A message that came in; its views point into the bytes that were parsed.
struct DbusMessage {
  bool is_return = false;
  bool is_error = false;
  uint32_t reply_serial = 0;
  std::string_view error_name;
  // The body's first value if it is a string, or a variant with a string; else empty.
  std::string_view text;
};

// The size of the message at the beginning of `bytes`; 0 while there are too few bytes. An error if
// this is no message, or one longer than 64 KiB.
Result<size_t> dbus_message_size(std::string_view bytes);

// `bytes` are exactly one message.
Result<DbusMessage> parse_dbus_message(std::string_view bytes);

// A unit's object path: "ssh.service" -> "/org/freedesktop/systemd1/unit/ssh_2eservice".
std::string unit_object_path(std::string_view unit);

}  // namespace nb::probe
