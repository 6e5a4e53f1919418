// JSON-RPC 2.0 as MCP uses it: one incoming message, and the forms of outgoing ones. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "json/view.h"

namespace nb::mcp {

// The codes of errors that MCP names.
enum Code : int {
  kParseError = -32700,
  kInvalidRequest = -32600,
  kMethodNotFound = -32601,
  kInvalidParams = -32602,
  kInternalError = -32603,
  kNoSuchResource = -32002,  // up to 2025-11-25
  // From 2026-07-28 on.
  kHeaderMismatch = -32020,
  kMissingCapability = -32021,
  kUnsupportedVersion = -32022,
};

struct Message {
  enum class Kind : uint8_t { request, notification, response };
  Kind kind = Kind::request;
  std::string_view id;  // as it was written; empty: none
  std::string method;
  json::View params;  // an object, or missing
};

struct ErrorWords {
  int code = 0;
  std::string words;
  std::string data;  // JSON, or empty
};

// An outgoing message. A transport that has a stream of its own for each request finds that stream
// by `request`.
struct Outgoing {
  std::string_view line;     // without a newline
  std::string_view request;  // the id, as it was written; empty: no request, or none with an id
  bool is_answer = false;    // nothing about this request follows
  int error = 0;             // of an answer: the code; 0: a result
};

// Reads a message from a value that a json::Guard has accepted. If it is none, says why:
// `message.id` is then the id to answer with, as far as it could be read.
std::optional<ErrorWords> parse_message(json::View value, Message& message);

// Each returns one line without its newline. `members` are those of the result, without braces.
std::string result_line(std::string_view id, std::string_view members);
std::string error_line(std::string_view id, const ErrorWords& error);
std::string notification_line(std::string_view method, std::string_view params);

}  // namespace nb::mcp
