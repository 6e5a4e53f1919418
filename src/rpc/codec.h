// JSON-RPC 2.0 as include/nodebeat/PROTOCOL.md has it: how a call is read, and how answers and
// errors are written. Pure; everything is appended to a string that the caller owns and reuses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "json/view.h"
#include "rpc/error.h"

namespace nb::rpc {

// One call, as views into the text that it was parsed from.
struct RawCall {
  std::string_view method;  // in `scratch` if it was escaped
  json::View params;        // an object, or missing
  std::string_view id;      // as it was written; empty: a notification
};

// The text around a result and its id, in a batch's array too: [{"jsonrpc":"2.0","id":7,
// "result":{}}]
constexpr size_t kAroundResult = 35;
constexpr size_t kMaxIdText = 256;   // bytes between the quotes, as written
constexpr size_t kMaxIdNumber = 64;  // bytes

// Reads one call from a value that a json::Guard has accepted. If it is none, says why: then
// `call.id` is the id to answer with, as far as it could be read, else empty.
std::optional<Error> parse_call(json::View value, std::string& scratch, RawCall& call);

// The longest result that fits into a line of `line_bytes`, whatever the id of its call.
size_t result_bytes(size_t line_bytes);

// Each appends one object without a newline. An empty `raw_id` is written as null.
void append_result_response(std::string& out, std::string_view raw_id, std::string_view result);
void append_error_response(std::string& out, std::string_view raw_id, const Error& error);
void append_notification(std::string& out, std::string_view method, std::string_view params);
// The notification `client.error` about a notification that was refused.
void append_client_error(std::string& out, std::string_view method, const Error& error);
// The notification `event.gap`: events of this time were missed; `lost` of them, if it is not 0,
// had no room.
void append_event_gap(std::string& out, WallTime from, WallTime to, uint64_t lost);
// The error object itself: {"code":…,"message":…,"data":{"name":…,…}}
void append_error_object(std::string& out, const Error& error);

}  // namespace nb::rpc
