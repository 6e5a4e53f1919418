#include "wire/jsonrpc.h"

#include "base/text.h"
#include "json/writer.h"
#include "wire/timestamp.h"

namespace nb::wire {

using namespace std::string_view_literals;  // built for size, only these know their length

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
    {-32010, "wrong_type"},     {-32011, "forbidden"},       {-32012, "dropped"},
};

// What a client may have made up is told back in part only, so that no error is a long one.
constexpr size_t kMaxEcho = 512;
constexpr size_t kMaxQuoted = 64;

std::string quoted(std::string_view text) {
  const std::string_view head = clip_utf8(text, kMaxQuoted);
  std::string out = "'";
  out += head;
  out += head.size() < text.size() ? "...'" : "'";
  return out;
}

RpcError make(int code, std::string_view words) {
  return {code, std::string(words), {}};
}

void add(RpcError& error, std::string_view name, std::string_view text) {
  if (!error.data.empty()) error.data += ',';
  json::Writer(error.data).key(name).string(clip_utf8(text, kMaxEcho));
}

void add(RpcError& error, std::string_view name, int64_t value) {
  if (!error.data.empty()) error.data += ',';
  json::Writer(error.data).key(name).integer(value);
}

RpcError with(int code, std::string_view words, std::string_view name, std::string_view text) {
  RpcError error = make(code, words);
  add(error, name, text);
  return error;
}

RpcError with(int code, std::string_view words, std::string_view name, size_t value) {
  RpcError error = make(code, words);
  add(error, name, static_cast<int64_t>(value));
  return error;
}

bool is_id(json::View value) {
  switch (value.type()) {
    case json::View::Type::null:
      return true;
    case json::View::Type::number:
      return value.raw().size() <= kMaxIdNumber;
    case json::View::Type::string:
      return value.raw().size() - 2 <= kMaxIdText;
    default:
      return false;
  }
}

}  // namespace

namespace rpc {

RpcError parse_error(std::string_view words, size_t offset) {
  return with(-32700, "not JSON that is accepted here: " + std::string(words), "offset", offset);
}

RpcError malformed_flood(std::string_view words, size_t limit) {
  return with(-32700, words, "limit", limit);
}

RpcError invalid_request(std::string_view words) {
  return make(-32600, words);
}

RpcError unknown_method(std::string_view method, std::string_view nearest) {
  RpcError error = make(-32601, "no method " + quoted(method));
  add(error, "method", method);
  if (nearest.empty()) {
    error.data += ",\"nearest\":null";
  } else {
    error.message += "; did you mean " + quoted(nearest) + "?";
    add(error, "nearest", nearest);
  }
  return error;
}

RpcError invalid_params(std::string_view field, std::string_view words) {
  std::string message(clip_utf8(field, kMaxQuoted));
  if (!message.empty()) message += ": ";
  message += words;
  return with(-32602, message, "field", field);
}

RpcError internal(std::string_view words) {
  return make(-32603, words);
}

RpcError too_large(std::string_view words, size_t limit_bytes) {
  return with(-32000, words, "limit_bytes", limit_bytes);
}

RpcError not_found(std::string_view words) {
  return make(-32001, words);
}

RpcError conflict(std::string_view words, int64_t expected, int64_t actual) {
  RpcError error = make(-32002, words);
  add(error, "expected", expected);
  add(error, "actual", actual);
  return error;
}

RpcError refused_key(std::string_view key, std::string_view words) {
  return with(-32003, words, "key", key);
}

RpcError conflict(std::string_view words) {
  return make(-32002, words);
}
RpcError queue_full(std::string_view words, size_t limit_bytes) {
  return with(-32004, words, "limit_bytes", limit_bytes);
}

RpcError not_stored(std::string_view words, std::string_view link) {
  return with(-32005, words, "link", link);
}

RpcError too_many(std::string_view words, size_t limit) {
  return with(-32004, words, "limit", limit);
}
RpcError too_many_fields(std::string_view words, size_t limit) {
  return with(-32000, words, "limit", limit);
}
RpcError busy(std::string_view words) {
  return make(-32006, words);
}

RpcError busy(std::string_view words, size_t limit) {
  return with(-32006, words, "limit", limit);
}

RpcError timeout(std::string_view words) {
  return make(-32007, words);
}

RpcError unavailable(std::string_view words, std::string_view link) {
  return with(-32008, words, "link", link);
}

RpcError refused_by_redis(std::string_view redis_words) {
  std::string message = "Redis refused this: ";
  message += clip_utf8(redis_words, kMaxEcho);
  return with(-32009, message, "redis", redis_words);
}

RpcError wrong_type(std::string_view words, std::string_view type) {
  return with(-32010, words, "type", type);
}

RpcError forbidden(std::string_view words) {
  return make(-32011, words);
}

RpcError dropped(std::string_view words) {
  return make(-32012, words);
}

RpcError dropped(std::string_view words, uint64_t count) {
  return with(-32012, words, "count", count);
}

void add_place(RpcError& error, std::string_view place) {
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

}  // namespace rpc

std::optional<RpcError> parse_call(json::View value, std::string& scratch, RpcCall& call) {
  call = {};
  if (!value.is(json::View::Type::object)) {
    return rpc::invalid_request(
        R"(a call is an object: {"jsonrpc":"2.0","method":...,"params":{...},"id":...})");
  }
  json::View version;
  json::View method;
  json::View id;
  std::optional<RpcError> error;
  // All of it is looked at, also after a fault: the id may come last.
  for (const json::Member& member : value.members()) {
    if (member.name_is("jsonrpc"sv)) {
      version = member.value;
    } else if (member.name_is("method"sv)) {
      method = member.value;
    } else if (member.name_is("params"sv)) {
      call.params = member.value;
    } else if (member.name_is("id"sv)) {
      id = member.value;
    } else if (!error) {
      std::string name;
      error = rpc::invalid_request("a call has no member " + quoted(member.name(name)) +
                                   ", only jsonrpc, method, params and id");
    }
  }
  if (is_id(id)) {
    call.id = id.raw();
  } else if (id.exists()) {
    return rpc::invalid_request(
        "id: expected a text of at most 256 bytes, a number of at most 64, or null");
  }
  if (error) return error;
  if (!version.string_is("2.0"sv)) return rpc::invalid_request("jsonrpc: expected \"2.0\"");
  const auto name = method.string(scratch);
  if (!name) return rpc::invalid_request("method: expected a text");
  call.method = *name;
  if (call.params.exists() && !call.params.is(json::View::Type::object)) {
    return rpc::invalid_request("params: expected an object, its members by name");
  }
  return std::nullopt;
}

void append_result_response(std::string& out, std::string_view raw_id, std::string_view result) {
  out += R"({"jsonrpc":"2.0","id":)";
  out += raw_id.empty() ? "null" : raw_id;
  out += R"(,"result":)";
  out += result;
  out += '}';
}

void append_error_response(std::string& out, std::string_view raw_id, const RpcError& error) {
  out += R"({"jsonrpc":"2.0","id":)";
  out += raw_id.empty() ? "null" : raw_id;
  out += R"(,"error":)";
  append_error_object(out, error);
  out += '}';
}

void append_notification(std::string& out, std::string_view method, std::string_view params) {
  out += R"({"jsonrpc":"2.0","method":)";
  json::Writer(out).string(method);
  out += R"(,"params":)";
  out += params;
  out += '}';
}

void append_client_error(std::string& out, std::string_view method, const RpcError& error) {
  out += R"({"jsonrpc":"2.0","method":"client.error","params":{"method":)";
  json::Writer(out).string(clip_utf8(method, kMaxEcho));
  out += R"(,"error":)";
  append_error_object(out, error);
  out += "}}";
}

void append_event_gap(std::string& out, WallTime from, WallTime to, uint64_t lost) {
  out += R"({"jsonrpc":"2.0","method":"event.gap","params":{"from":")";
  append_timestamp(from, out);
  out += R"(","to":")";
  append_timestamp(to, out);
  out += '"';
  if (lost > 0) {
    out += R"(,"lost":)";
    json::Writer(out).integer(static_cast<int64_t>(lost));
  }
  out += "}}";
}

void append_error_object(std::string& out, const RpcError& error) {
  out += R"({"code":)";
  json::Writer(out).integer(error.code);
  out += R"(,"message":)";
  json::Writer(out).string(error.message);
  out += R"(,"data":{"name":")";
  out += rpc::name_of(error.code);
  out += '"';
  if (!error.data.empty()) {
    out += ',';
    out += error.data;
  }
  out += "}}";
}

}  // namespace nb::wire
