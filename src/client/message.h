// Message: what one line of the agent says, in place: its parts are views into the line, ended by
// a NUL each where C callers want one. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace nb::client {

struct Message {
  enum class Kind {
    rubbish,  // not JSON by PROTOCOL.md, 1.4
    other,    // nothing that this library knows; also an empty line
    event,    // channel, json, flags
    gap,      // json
    result,   // id, json
    failure,  // id; code, text: a call of ours was refused
    refusal   // code, text: something that wanted no answer was refused
  };

  Kind kind = Kind::other;
  uint32_t flags = 0;        // NB_EVENT_*
  int64_t id = 0;            // of a result or failure
  int32_t code = 0;          // of the protocol's error table
  const char* channel = "";  // NUL-terminated
  const char* json = "";     // NUL-terminated
  size_t json_size = 0;
  std::string_view method;  // of a refusal: which call; may be empty
  std::string_view text;    // of an error, for people
  bool ends = false;        // of a refusal: with it the agent ends the connection
};

// What a line begins with, enough to tell whose it is. Any bytes, also a part of a line.
struct LineHead {
  bool event = false;  // a message of a subscription, or a gap
  int64_t id = 0;      // of an answer to a call of ours, or 0
};
LineHead read_head(std::string_view line);

// What an answer to client.hello says of `limits.line_bytes`; 0: nothing.
size_t line_limit_of(std::string_view hello_result);

// Makes the agent's words fit for a log and a terminal, in place: what is no UTF-8, and each byte
// of a character that base/foreign_text.h calls unsafe, becomes '?'. A character that was cut at
// the end is left out. Returns the size.
size_t make_harmless(char* text, size_t size);

// Reads `line`, which is changed; line[size] may be written. The message lives as long as it.
Message read_message(char* line, size_t size);

}  // namespace nb::client
