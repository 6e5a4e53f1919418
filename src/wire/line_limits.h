// The sizes of a line of the local socket, without its newline, for both of its ends (PROTOCOL.md,
// 1.3). They are written nowhere else; config/key_table.h repeats them in words, which a test
// compares.
#pragma once

#include <cstddef>

namespace nb::wire {

// The longest line from a client, and to a client that has not asked for longer ones.
constexpr size_t kLineBytes = 64 * 1024;
// [socket] max_line cannot be less: a line of this size may be sent before the limits are known.
constexpr size_t kLeastLineBytes = 4 * 1024;
// The most that a client can ask for (max_line_bytes), and that [socket] max_line can be.
constexpr size_t kMostLineBytes = 1024 * 1024;

}  // namespace nb::wire
