#include "mcp/message.h"

#include "json/writer.h"

namespace nb::mcp {
namespace {

constexpr size_t kMaxId = 256;

// A string, or an integer: null and fractions are no ids in MCP.
bool is_id(json::View value) {
  if (value.raw().size() > kMaxId) return false;
  return value.is(json::View::Type::string) || value.integer().has_value();
}

std::string head(std::string_view id) {
  std::string out = R"({"jsonrpc":"2.0","id":)";
  out += id.empty() ? "null" : id;
  return out;
}

}  // namespace

std::optional<ErrorWords> parse_message(json::View value, Message& message) {
  message = {};
  if (value.is(json::View::Type::array)) {
    return ErrorWords{
        kInvalidRequest, "batches are no longer part of MCP: send one message a line", {}};
  }
  if (!value.is(json::View::Type::object)) {
    return ErrorWords{kInvalidRequest, "expected a JSON object", {}};
  }
  const json::View id = value["id"];
  const json::View method = value["method"];
  const bool answers = value["result"].exists() || value["error"].exists();
  if (id.exists() && !is_id(id) && !(answers && id.is(json::View::Type::null))) {
    return ErrorWords{kInvalidRequest, "`id`: expected a string or an integer", {}};
  }
  message.id = id.raw();
  if (!value["jsonrpc"].string_is("2.0")) {
    return ErrorWords{kInvalidRequest, "`jsonrpc`: expected \"2.0\"", {}};
  }
  if (!method.exists() && answers) {
    message.kind = Message::Kind::response;
    return std::nullopt;
  }
  const auto name = method.string(message.method);
  if (!name) return ErrorWords{kInvalidRequest, "`method`: expected a string", {}};
  message.method = std::string(*name);
  message.params = value["params"];
  if (message.params.exists() && !message.params.is(json::View::Type::object)) {
    return ErrorWords{kInvalidParams, "`params`: expected an object", {}};
  }
  message.kind = id.exists() ? Message::Kind::request : Message::Kind::notification;
  return std::nullopt;
}

std::string result_line(std::string_view id, std::string_view members) {
  std::string out = head(id);
  out += ",\"result\":{";
  out += members;
  out += "}}";
  return out;
}

std::string error_line(std::string_view id, const ErrorWords& error) {
  std::string out = head(id);
  out += ",\"error\":";
  json::Writer writer(out);
  writer.begin_object().key("code").integer(error.code).key("message").string(error.words);
  if (!error.data.empty()) writer.key("data").raw(error.data);
  writer.end_object();
  out += '}';
  return out;
}

std::string notification_line(std::string_view method, std::string_view params) {
  std::string out = R"({"jsonrpc":"2.0","method":")";
  out += method;
  out += '"';
  if (!params.empty()) {
    out += ",\"params\":";
    out += params;
  }
  out += '}';
  return out;
}

}  // namespace nb::mcp
