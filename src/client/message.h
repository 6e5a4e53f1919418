// Message: the content of one line from the agent. Its parts are views into the line, and end with
// a NUL where C callers need one. Pure.
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
    failure,  // id; code, text: a call of this client was refused
    refusal   // code, text: a notification was refused
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
  std::string_view data;    // of an error: its `data`, as JSON
  bool ends = false;        // of a refusal: the agent ends the connection with it
  int64_t count = 1;        // for a refusal: the number of notifications that it reports
};

// The result of a call whose refusal has this code, unless there is a more special one.
int result_of_refusal(int32_t code);

// An integer as the agent writes codes, and gives back ids; false for anything else.
bool read_integer(std::string_view text, int64_t& value);

// Enough of the beginning of a line to decide which part has to handle it. The bytes may be
// anything, also a part of a line.
struct LineHead {
  bool event = false;  // a message of a subscription or a watch, or a gap
  int64_t id = 0;      // of an answer to a call of ours, or 0
};
LineHead read_head(std::string_view line);

constexpr int64_t kProtocol = 1;

// The members of an answer to client.hello that this library needs; absent members keep these
// values.
struct Greeting {
  int64_t protocol = kProtocol;
  size_t line_bytes = 0;  // `limits.line_bytes`
};
Greeting read_greeting(std::string_view hello_result);

// Makes the agent's words safe for a log and a terminal, in place: a byte that is not UTF-8, and
// each byte of a character that base/foreign_text.h calls unsafe, becomes '?'. A character that was
// cut at the end is left out. Returns the new size.
size_t make_harmless(char* text, size_t size);

// Reads `line`, and changes it; line[size] may be written. The message is valid as long as the
// line.
Message read_message(char* line, size_t size);

}  // namespace nb::client
