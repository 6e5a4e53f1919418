#include "rpc/codec.h"

#include "base/text.h"
#include "base/timestamp.h"
#include "json/writer.h"

namespace nb::rpc {

using namespace std::string_view_literals;  // built for size, only these know their length

namespace {

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

std::optional<Error> parse_call(json::View value, std::string& scratch, RawCall& call) {
  call = {};
  if (!value.is(json::View::Type::object)) {
    return invalid_request(
        R"(a call is an object: {"jsonrpc":"2.0","method":...,"params":{...},"id":...})");
  }
  json::View version;
  json::View method;
  json::View id;
  std::optional<Error> error;
  // All members are read, also after a fault: the id may come last.
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
      error = invalid_request("a call has no member " + quoted(member.name(name)) +
                              ", only jsonrpc, method, params and id");
    }
  }
  if (is_id(id)) {
    call.id = id.raw();
  } else if (id.exists()) {
    return invalid_request(
        "id: expected a text of at most 256 bytes, a number of at most 64, or null");
  }
  if (error) return error;
  if (!version.string_is("2.0"sv)) return invalid_request("jsonrpc: expected \"2.0\"");
  const auto name = method.string(scratch);
  if (!name) return invalid_request("method: expected a text");
  call.method = *name;
  if (call.params.exists() && !call.params.is(json::View::Type::object)) {
    return invalid_request("params: expected an object, its members by name");
  }
  return std::nullopt;
}

size_t result_bytes(size_t line_bytes) {
  return line_bytes - kAroundResult - kMaxIdText - 2;
}

void append_result_response(std::string& out, std::string_view raw_id, std::string_view result) {
  out += R"({"jsonrpc":"2.0","id":)";
  out += raw_id.empty() ? "null" : raw_id;
  out += R"(,"result":)";
  out += result;
  out += '}';
}

void append_error_response(std::string& out, std::string_view raw_id, const Error& error) {
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

void append_client_error(std::string& out, std::string_view method, const Error& error) {
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

void append_error_object(std::string& out, const Error& error) {
  out += R"({"code":)";
  json::Writer(out).integer(error.code);
  out += R"(,"message":)";
  json::Writer(out).string(error.message);
  out += R"(,"data":{"name":")";
  out += name_of(error.code);
  out += '"';
  if (!error.data.empty()) {
    out += ',';
    out += error.data;
  }
  out += "}}";
}

}  // namespace nb::rpc
