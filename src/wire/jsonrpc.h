// JSON-RPC 2.0 as include/nodebeat/PROTOCOL.md has it: what a call is, and how answers and errors
// are written. Pure; everything is appended to a string that the caller owns and reuses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "json/view.h"

namespace nb::wire {

// The error of a call, as in PROTOCOL.md, section 5.
struct RpcError {
  int code = 0;
  std::string message;  // for people: says what would be right
  std::string data;     // further members of `data`, as `"field":"joints_l"`; or empty
};

namespace rpc {

// One function a row of the table. `words` are a sentence fragment for people; every text may be
// of any length and content, and is cut and escaped as needed.
RpcError parse_error(std::string_view words, size_t offset);
// Also -32700: there were more than `limit` of them.
RpcError malformed_flood(std::string_view words, size_t limit);
RpcError invalid_request(std::string_view words);
RpcError unknown_method(std::string_view method, std::string_view nearest);  // empty: none
RpcError invalid_params(std::string_view field, std::string_view words);
RpcError internal(std::string_view words);
RpcError too_large(std::string_view words, size_t limit_bytes);
RpcError not_found(std::string_view words);
RpcError conflict(std::string_view words, int64_t expected, int64_t actual);
RpcError conflict(std::string_view words);
RpcError refused_key(std::string_view key, std::string_view words);
RpcError queue_full(std::string_view words, size_t limit_bytes);
// Likewise, and too_large, where the limit is a number of things: `limit` instead of `limit_bytes`.
RpcError too_many(std::string_view words, size_t limit);
RpcError too_many_fields(std::string_view words, size_t limit);
RpcError not_stored(std::string_view words, std::string_view link);
RpcError busy(std::string_view words, size_t limit);
RpcError busy(std::string_view words);  // where the limit is not the agent's
RpcError timeout(std::string_view words);
RpcError unavailable(std::string_view words, std::string_view link);
RpcError refused_by_redis(std::string_view redis_words);
RpcError wrong_type(std::string_view words, std::string_view type);
RpcError forbidden(std::string_view words);
RpcError dropped(std::string_view words);
RpcError dropped(std::string_view words, uint64_t count);

// Puts the place of the value within the params, as "will[1].params.", before the field in
// question, and before the words.
void add_place(RpcError& error, std::string_view place);

// "invalid_params" of -32602 and so on; empty if the table has no such code, and 0 if no such name.
std::string_view name_of(int code);
int code_of(std::string_view name);

}  // namespace rpc

// One call, as views into the text that it was parsed from.
struct RpcCall {
  std::string_view method;  // in `scratch` if it was escaped
  json::View params;        // an object, or missing
  std::string_view id;      // as it was written; empty: a notification
};

constexpr size_t kMaxIdText = 256;   // bytes between the quotes, as written
constexpr size_t kMaxIdNumber = 64;  // bytes

// Reads one call from a value that a json::Guard has accepted. If it is none, says why: then
// `call.id` is the id to answer with, as far as it could be read, else empty.
std::optional<RpcError> parse_call(json::View value, std::string& scratch, RpcCall& call);

// Each appends one object without a newline. An empty `raw_id` is written as null.
void append_result_response(std::string& out, std::string_view raw_id, std::string_view result);
void append_error_response(std::string& out, std::string_view raw_id, const RpcError& error);
void append_notification(std::string& out, std::string_view method, std::string_view params);
// The notification `client.error` about a notification that was refused.
void append_client_error(std::string& out, std::string_view method, const RpcError& error);
// The notification `event.gap`: events of this time were missed; `lost` of them, if it is not 0,
// had no room.
void append_event_gap(std::string& out, WallTime from, WallTime to, uint64_t lost);
// The error object itself: {"code":…,"message":…,"data":{"name":…,…}}
void append_error_object(std::string& out, const RpcError& error);

}  // namespace nb::wire
