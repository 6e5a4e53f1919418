#include "rpc/error.h"

#include "base/text.h"
#include "json/writer.h"

namespace nb::rpc {
namespace {

struct Row {
  int code;
  const char* name;
};

constexpr Row kErrors[] = {
    {-32700, "parse_error"},    {-32600, "invalid_request"}, {-32601, "unknown_method"},
    {-32602, "invalid_params"}, {-32603, "internal"},        {-32000, "too_large"},
    {-32001, "not_found"},      {-32002, "conflict"},        {-32003, "refused_key"},
    {-32004, "queue_full"},     {-32005, "not_stored"},      {-32006, "busy"},
    {-32007, "timeout"},        {-32008, "unavailable"},     {-32009, "refused_by_redis"},
    {-32010, "wrong_type"},     {kForbidden, "forbidden"},   {-32012, "dropped"},
    {-32013, "in_doubt"},       {-32014, "corrupt"},         {kRateLimited, "rate_limited"},
};

constexpr size_t kMaxQuoted = 64;

Error make(int code, std::string_view words) {
  return {code, std::string(words), {}};
}

void add(Error& error, std::string_view name, std::string_view text) {
  if (!error.data.empty()) error.data += ',';
  json::Writer(error.data).key(name).string(clip_utf8(text, kMaxEcho));
}

void add(Error& error, std::string_view name, int64_t value) {
  if (!error.data.empty()) error.data += ',';
  json::Writer(error.data).key(name).integer(value);
}

Error with(int code, std::string_view words, std::string_view name, std::string_view text) {
  Error error = make(code, words);
  add(error, name, text);
  return error;
}

Error with(int code, std::string_view words, std::string_view name, size_t value) {
  Error error = make(code, words);
  add(error, name, static_cast<int64_t>(value));
  return error;
}

}  // namespace

std::string quoted(std::string_view text) {
  const std::string_view head = clip_utf8(text, kMaxQuoted);
  std::string out = "'";
  out += head;
  out += head.size() < text.size() ? "...'" : "'";
  return out;
}

Error parse_error(std::string_view words, size_t offset) {
  return with(-32700, "not JSON that is accepted here: " + std::string(words), "offset", offset);
}

Error malformed_flood(std::string_view words, size_t limit) {
  return with(-32700, words, "limit", limit);
}

Error invalid_request(std::string_view words) {
  return make(-32600, words);
}

Error unknown_method(std::string_view method, std::string_view nearest) {
  Error error = make(-32601, "no method " + quoted(method));
  add(error, "method", method);
  if (nearest.empty()) {
    error.data += ",\"nearest\":null";
  } else {
    error.message += "; did you mean " + quoted(nearest) + "?";
    add(error, "nearest", nearest);
  }
  return error;
}

Error invalid_params(std::string_view field, std::string_view words) {
  std::string message(clip_utf8(field, kMaxQuoted));
  if (!message.empty()) message += ": ";
  message += words;
  return with(-32602, message, "field", field);
}

Error internal(std::string_view words) {
  return make(-32603, words);
}

Error too_large(std::string_view words, size_t limit_bytes) {
  return with(-32000, words, "limit_bytes", limit_bytes);
}

Error not_found(std::string_view words) {
  return make(-32001, words);
}

Error conflict(std::string_view words, std::optional<int64_t> expected, int64_t actual) {
  Error error = make(-32002, words);
  if (expected) add(error, "expected", *expected);
  add(error, "actual", actual);
  return error;
}

Error refused_key(std::string_view key, std::string_view words) {
  return with(-32003, words, "key", key);
}

Error conflict(std::string_view words) {
  return make(-32002, words);
}
Error queue_full(std::string_view words, size_t limit_bytes) {
  return with(-32004, words, "limit_bytes", limit_bytes);
}

Error not_stored(std::string_view words, std::string_view link) {
  return with(-32005, words, "link", link);
}

Error too_many(std::string_view words, size_t limit) {
  return with(-32004, words, "limit", limit);
}
Error too_many_fields(std::string_view words, size_t limit) {
  return with(-32000, words, "limit", limit);
}
Error busy(std::string_view words) {
  return make(-32006, words);
}

Error busy(std::string_view words, size_t limit) {
  return with(-32006, words, "limit", limit);
}

Error timeout(std::string_view words) {
  return make(-32007, words);
}

Error unavailable(std::string_view words, std::string_view link) {
  return with(-32008, words, "link", link);
}

Error refused_by_redis(std::string_view redis_words) {
  std::string message = "Redis refused this: ";
  message += clip_utf8(redis_words, kMaxEcho);
  return with(-32009, message, "redis", redis_words);
}

Error wrong_type(std::string_view words, std::string_view type) {
  return with(-32010, words, "type", type);
}

Error forbidden(std::string_view words) {
  return make(kForbidden, words);
}

Error forbidden(std::string_view method, Right right, std::string_view socket) {
  Error error = make(kForbidden, method);
  error.message += " needs the right ";
  error.message += quoted(name_of(right));
  error.message += ", which this socket does not give";
  add(error, "right", name_of(right));
  if (!socket.empty()) {
    error.message += "; the socket ";
    error.message += socket;
    error.message += " does";
    add(error, "socket", socket);
  }
  return error;
}

Error rate_limited(std::string_view what, Duration retry_after) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(retry_after).count();
  Error error = make(kRateLimited, "more ");
  error.message += what;
  error.message += " than one client of this socket may have in a second";
  add(error, "retry_after_ms", int64_t{ms});
  return error;
}

void add_count(Error& error, uint64_t count) {
  add(error, "count", static_cast<int64_t>(count));
}

Error dropped(std::string_view words) {
  return make(-32012, words);
}

Error dropped(std::string_view words, uint64_t count) {
  return with(-32012, words, "count", count);
}

Error in_doubt(std::string_view words, std::string_view redis_words) {
  return with(-32013, words, "redis", redis_words);
}

Error corrupt(std::string_view words, std::string_view stored, size_t room) {
  constexpr size_t kAround = 1024;
  constexpr size_t kMostEscaped = 6;
  Error error = make(-32014, words);
  add(error, "stored_bytes", static_cast<int64_t>(stored.size()));
  error.data += ',';
  const size_t before = error.data.size();
  json::Writer(error.data).key("stored").string(stored);
  if (error.data.size() + kAround > room) {
    error.data.resize(before);
    json::Writer(error.data)
        .key("stored")
        .string(clip_utf8(stored, (room - kAround) / kMostEscaped));
  }
  return error;
}

void add_place(Error& error, std::string_view place) {
  constexpr std::string_view kField = R"("field":")";
  if (error.data.starts_with(kField)) {
    error.data.insert(kField.size(), place);
    error.message.insert(0, place);
  } else {
    error.message.insert(0, std::string(place) + ": ");
  }
}

std::string_view name_of(int code) {
  for (const Row& row : kErrors) {
    if (row.code == code) return row.name;
  }
  return {};
}

int code_of(std::string_view name) {
  for (const Row& row : kErrors) {
    if (name == row.name) return row.code;
  }
  return 0;
}

}  // namespace nb::rpc
