// SessionCall: one call of session.* (PROTOCOL.md, 3.6) as it is written, and the content of its
// answer. No allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "client/line_writer.h"
#include "client/message.h"
#include "nodebeat/client.h"

namespace nb::client {

// Of a call that has had no answer.
inline constexpr nb_session_result kNothingKnown = {.size = sizeof(nb_session_result),
                                                    .attempts = 0,
                                                    .version = -1,
                                                    .ttl_ms = -1,
                                                    .expected_version = -1,
                                                    .actual_version = -1,
                                                    .subscribers = -1,
                                                    .text_bytes = 0};

struct SessionCall {
  enum class Verb : uint8_t { create, update, remove, touch, broadcast, get, list };

  bool writes() const { return verb < Verb::get; }
  // The call without the end of its line; the agent answers within `left_ms`.
  void write(LineWriter& out, int64_t left_ms) const;
  // Reads the answer, whose line it changes; returns the result of the C ABI.
  int take(const Message& message);

  Verb verb;
  std::string_view id;
  std::string_view json;  // the state, or the message; empty: none
  nb_session_options options{};
  nb_session_result result = kNothingKnown;

  // For the state, or the corrupt text; null: the caller does not want it.
  char* text = nullptr;
  size_t text_size = 0;

  // session.list: the beginning of the next page, and the data about each session.
  static constexpr size_t kCursorBytes = 512;
  char cursor[kCursorBytes];
  size_t cursor_size = 0;
  nb_session_fn each = nullptr;
  void* user = nullptr;
  int ended = 0;  // the result of `each`

 private:
  int take_failure(const Message& message);
  void take_text(std::string_view value);
  bool take_sessions(std::string_view sessions);
};

}  // namespace nb::client
