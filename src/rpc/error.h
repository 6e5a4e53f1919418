// The errors of calls, as PROTOCOL.md, section 5, lists them. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "rpc/rights.h"

namespace nb::rpc {

// The error of a call, as in PROTOCOL.md, section 5.
struct Error {
  int code = 0;
  std::string message;  // for people: says what would be right
  std::string data;     // further members of `data`, as `"field":"joints_l"`; or empty
};

// One function a row of the table. `words` are a sentence fragment for people; every text may be
// of any length and content, and is cut and escaped as needed.
Error parse_error(std::string_view words, size_t offset);
// Also -32700: there were more than `limit` of them.
Error malformed_flood(std::string_view words, size_t limit);
Error invalid_request(std::string_view words);
Error unknown_method(std::string_view method, std::string_view nearest);  // empty: none
Error invalid_params(std::string_view field, std::string_view words);
Error internal(std::string_view words);
Error too_large(std::string_view words, size_t limit_bytes);
Error not_found(std::string_view words);
Error conflict(std::string_view words, std::optional<int64_t> expected, int64_t actual);
Error conflict(std::string_view words);
Error refused_key(std::string_view key, std::string_view words);
Error queue_full(std::string_view words, size_t limit_bytes);
// Likewise, and too_large, where the limit is a count: `limit` instead of `limit_bytes`.
Error too_many(std::string_view words, size_t limit);
Error too_many_fields(std::string_view words, size_t limit);
Error not_stored(std::string_view words, std::string_view link);
Error busy(std::string_view words, size_t limit);
Error busy(std::string_view words);  // where the limit is not the agent's
Error timeout(std::string_view words);
Error unavailable(std::string_view words, std::string_view link);
Error refused_by_redis(std::string_view redis_words);
Error wrong_type(std::string_view words, std::string_view type);
Error forbidden(std::string_view words);
// A call needs `right`, which its socket does not give. `socket` gives it; empty: none is known.
Error forbidden(std::string_view method, Right right, std::string_view socket);
// More `what` ("calls", "events") than the client may make in a second.
Error rate_limited(std::string_view what, Duration retry_after);
Error dropped(std::string_view words);
Error dropped(std::string_view words, uint64_t count);
Error in_doubt(std::string_view words, std::string_view redis_words);
// `stored` is repeated whole where it has so much room as JSON, else its beginning.
Error corrupt(std::string_view words, std::string_view stored, size_t room);

// A client's own text is repeated in part only, so that no error is long.
inline constexpr size_t kMaxEcho = 512;
// The beginning of such a text, in quotes.
std::string quoted(std::string_view text);

// Puts the place of the value within the params, as "will[1].params.", before the field in
// question, and before the words.
void add_place(Error& error, std::string_view place);

// For notifications that were refused alike: their number since the client was last told.
void add_count(Error& error, uint64_t count);

inline constexpr int kForbidden = -32011;
inline constexpr int kRateLimited = -32015;

// "invalid_params" of -32602 and so on; empty if the table has no such code, and 0 if no such name.
std::string_view name_of(int code);
int code_of(std::string_view name);

}  // namespace nb::rpc
