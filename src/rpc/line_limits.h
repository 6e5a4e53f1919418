// The limits of the local socket that more than one room has to know, each written once;
// libnodebeat uses them too. config/key_table.h repeats in words those that an operator may change,
// which a test compares.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nb::rpc {

// Of a line, without its newline (PROTOCOL.md, 1.3).

// The longest line from a client, and to a client that has not asked for longer ones.
constexpr size_t kLineBytes = 64 * 1024;
// [socket] max_line cannot be less: a line of this size may be sent before the limits are known.
constexpr size_t kLeastLineBytes = 4 * 1024;
// The largest value that a client can ask for (max_line_bytes), and of [socket] max_line.
constexpr size_t kMostLineBytes = 1024 * 1024;
// The parts of an event's line besides the message: names, its channel and a pattern.
constexpr size_t kEnvelopeBytes = 2 * 1024;

constexpr size_t kBatchCalls = 256;    // in one batch
constexpr size_t kWaitingCalls = 256;  // of one client, not yet answered
constexpr size_t kSubscriptions = 64;  // of one client
// For all patterns of one client (base/glob.h, glob_cost()): the cost of matching others' events.
constexpr size_t kPatternCost = 1024;
constexpr size_t kWillCalls = 8;
// Of deadline_ms in client.hello (PROTOCOL.md, 3.1.6).
constexpr uint32_t kLeastDeadlineMs = 10;
constexpr uint32_t kMostDeadlineMs = 3'600'000;

}  // namespace nb::rpc
