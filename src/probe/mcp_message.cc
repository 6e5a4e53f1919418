#include "probe/mcp_message.h"

#include "base/text.h"
#include "probe/http_exchange.h"
#include "probe/words.h"
#include "wire/json_guard.h"
#include "wire/json_view.h"
#include "wire/json_writer.h"

namespace nb::probe {
namespace {

using wire::JsonView;

constexpr const char* kVersion2025 = "2025-11-25";
constexpr const char* kVersion2026 = "2026-07-28";
constexpr const char* kServerInfo = "io.modelcontextprotocol/serverInfo";
constexpr int64_t kRequestId = 1;
constexpr int64_t kInternalError = -32603;

std::string body_for(McpEra era, const std::string& agent_version) {
  std::string body;
  wire::JsonWriter json(body);
  const auto write_info = [&] {
    json.begin_object().key("name").string("nodebeat").key("version").string(agent_version);
    json.end_object();
  };
  const bool modern = era == McpEra::stateless_2026;
  json.begin_object().key("jsonrpc").string("2.0").key("id").integer(kRequestId).key("method");
  json.string(modern ? "server/discover" : "initialize").key("params").begin_object();
  if (modern) {
    json.key("_meta").begin_object();
    json.key("io.modelcontextprotocol/protocolVersion").string(kVersion2026);
    json.key("io.modelcontextprotocol/clientInfo");
    write_info();
    json.key("io.modelcontextprotocol/clientCapabilities").begin_object().end_object();
    json.end_object();
  } else {
    json.key("protocolVersion").string(kVersion2025);
    json.key("capabilities").begin_object().end_object();
    json.key("clientInfo");
    write_info();
  }
  json.end_object().end_object();
  return body;
}

// Revisions are dates.
bool is_revision(std::string_view text) {
  constexpr std::string_view kShape = "dddd-dd-dd";
  if (text.size() != kShape.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kShape[i] == 'd' ? !digit : text[i] != '-') return false;
  }
  return true;
}

McpVerdict down(std::string detail, bool other_era) {
  McpVerdict verdict;
  verdict.other_era = other_era;
  verdict.detail = std::move(detail);
  return verdict;
}

McpVerdict not_mcp(const char* why, bool other_era) {
  return down(format("answer is not MCP: %s", why), other_era);
}

McpVerdict named(JsonView info, std::string_view protocol) {
  McpVerdict verdict;
  std::string scratch;
  verdict.up = true;
  verdict.protocol = protocol;
  verdict.detail = one_line(info["name"].string(scratch).value_or("unnamed server"), 80);
  if (const auto version = info["version"].string(scratch)) {
    verdict.detail += ' ' + one_line(*version, 40);
  }
  verdict.detail += ", MCP " + verdict.protocol;
  return verdict;
}

McpVerdict read_initialized(JsonView result) {
  std::string scratch;
  const auto protocol = result["protocolVersion"].string(scratch);
  const JsonView info = result["serverInfo"];
  if (!protocol || !is_revision(*protocol)) return not_mcp("no protocolVersion", true);
  if (!info["name"].is(JsonView::Type::string) || !info["version"].is(JsonView::Type::string)) {
    return not_mcp("no serverInfo", true);
  }
  return named(info, *protocol);
}

McpVerdict read_discovered(JsonView result) {
  const JsonView versions = result["supportedVersions"];
  if (!versions.is(JsonView::Type::array)) return not_mcp("no supportedVersions", true);
  for (const JsonView version : versions.elements()) {
    // A server may leave its identity out in this revision.
    if (version.string_is(kVersion2026)) {
      return named(result["_meta"][kServerInfo], kVersion2026);
    }
  }
  return down(format("the server does not support MCP %s", kVersion2026), true);
}

McpVerdict read_error(JsonView error) {
  std::string scratch;
  const auto code = error["code"].integer();
  const auto message = error["message"].string(scratch);
  if (!code || !message) return not_mcp("an error without code and message", true);
  McpVerdict verdict =
      down(format("MCP error %lld: %s", static_cast<long long>(*code), one_line(*message).c_str()),
           *code != kInternalError);
  verdict.rpc_error = true;
  return verdict;
}

std::optional<McpVerdict> read_one(JsonView message, McpEra era) {
  if (!message["jsonrpc"].string_is("2.0")) return not_mcp("not JSON-RPC 2.0", true);
  // The server's own notifications and requests may come first on a stream.
  if (message["method"].exists()) return std::nullopt;
  const JsonView id = message["id"];
  const JsonView error = message["error"];
  // A request that could not be read as one is answered with the id null, or none.
  if (error.exists() && (!id.exists() || id.is(JsonView::Type::null))) return read_error(error);
  if (id.integer() != kRequestId) return std::nullopt;
  if (error.exists()) return read_error(error);
  const JsonView result = message["result"];
  if (!result.is(JsonView::Type::object)) return not_mcp("neither a result nor an error", true);
  return era == McpEra::stateless_2026 ? read_discovered(result) : read_initialized(result);
}

// Statuses that say nothing about the era: who asks, how often, how long.
bool is_about_the_caller(int status) {
  return status == 401 || status == 403 || status == 407 || status == 408 || status == 429;
}

}  // namespace

std::string mcp_request(McpEra era, const uv::Target& target, const std::string& path,
                        const std::string& agent_version) {
  const std::string body = body_for(era, agent_version);
  std::string request = http_head("POST", target, path, agent_version);
  request += "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n";
  if (era == McpEra::stateless_2026) {
    request += format("MCP-Protocol-Version: %s\r\nMcp-Method: server/discover\r\n", kVersion2026);
  }
  request += format("Content-Length: %zu\r\n\r\n", body.size());
  return request + body;
}

std::string mcp_goodbye(const uv::Target& target, const std::string& path,
                        const std::string& agent_version, const std::string& session_id,
                        const std::string& protocol) {
  if (session_id.empty() || session_id.size() > 1024) return {};
  for (const char c : session_id) {
    if (c < 0x21 || c > 0x7E) return {};
  }
  std::string request = http_head("DELETE", target, path, agent_version);
  request += "Mcp-Session-Id: " + session_id + "\r\n";
  if (!protocol.empty()) request += "MCP-Protocol-Version: " + protocol + "\r\n";
  return request + "\r\n";
}

void McpReader::reset(McpEra era) {
  era_ = era;
  sse_.reset();
}

std::optional<McpVerdict> McpReader::look(HttpResponse& response, bool ended) {
  if (!response.head_complete())
    return ended ? std::optional(not_mcp("nothing", false)) : std::nullopt;
  const int status = response.status();
  const bool refused = status >= 400 && status < 500;
  const bool success = status >= 200 && status < 300;
  const bool other_era = (refused && !is_about_the_caller(status)) || status == 501;
  if (success && response.is_type("text/event-stream")) {
    std::string_view bytes = response.body();
    std::optional<McpVerdict> verdict;
    while (!verdict && sse_.next(bytes)) {
      // An event with empty data only gives the stream a position to resume from.
      if (!sse_.data().empty()) verdict = read_message(sse_.data());
    }
    response.body().clear();
    if (verdict) return verdict;
    if (sse_.overflowed() || response.truncated()) {
      return not_mcp("64 KiB of events without an answer", false);
    }
    return ended ? std::optional(not_mcp("the event stream ended without it", false))
                 : std::nullopt;
  }
  if (!ended) return std::nullopt;
  if (response.is_type("application/json") && !response.truncated()) {
    std::optional<McpVerdict> verdict = read_message(response.body());
    if (success) return verdict ? verdict : not_mcp("it answers another request", false);
    if (verdict && verdict->rpc_error) {
      verdict->detail = format("HTTP %d: %s", status, verdict->detail.c_str());
      verdict->other_era = other_era;
      return verdict;
    }
  }
  if (!success) return down(format("HTTP %d, expected 200", status), other_era);
  if (response.truncated()) return not_mcp("longer than 64 KiB", false);
  if (response.content_type().empty()) return not_mcp("no Content-Type", true);
  return not_mcp(one_line("Content-Type " + response.content_type()).c_str(), true);
}

std::optional<McpVerdict> McpReader::read_message(std::string_view json) const {
  if (const wire::JsonFault fault = wire::JsonGuard().check(json); fault.reason != nullptr) {
    const std::string why = format("not valid JSON: %s (at byte %zu)", fault.reason, fault.offset);
    return not_mcp(why.c_str(), false);
  }
  const JsonView root = JsonView::of(json);
  if (!root.is(JsonView::Type::array)) return read_one(root, era_);
  // A batch, which revision 2025-03-26 allows.
  for (const JsonView one : root.elements()) {
    if (auto verdict = read_one(one, era_)) return verdict;
  }
  return std::nullopt;
}

}  // namespace nb::probe
