#include "probe/mcp_message.h"

#include "base/text.h"
#include "json/guard.h"
#include "json/view.h"
#include "json/writer.h"
#include "probe/http_exchange.h"
#include "probe/words.h"

namespace nb::probe {
namespace {

constexpr const char* kVersion2025 = "2025-11-25";
constexpr const char* kVersion2026 = "2026-07-28";
constexpr const char* kServerInfo = "io.modelcontextprotocol/serverInfo";
constexpr int64_t kInternalError = -32603;
constexpr int64_t kMethodNotFound = -32601;

// How much a reason for being down tells.
constexpr int kBareStatus = 0;   // "HTTP 404, expected 200"
constexpr int kOtherAnswer = 1;  // "answer is not MCP: ..."
constexpr int kWords = 2;        // the server's own words, or where it is instead
constexpr int kMcpError = 3;     // the server's own words, in MCP

void begin_message(json::Writer& json, const char* method) {
  json.begin_object().key("jsonrpc").string("2.0").key("method").string(method);
}

void write_info(json::Writer& json, const std::string& agent_version) {
  json.begin_object().key("name").string("nodebeat").key("version").string(agent_version);
  json.end_object();
}

std::string body_for(McpAsk ask, int64_t id, const std::string& agent_version) {
  std::string body;
  json::Writer json(body);
  switch (ask) {
    case McpAsk::discover:
      begin_message(json, "server/discover");
      json.key("id").integer(id).key("params").begin_object().key("_meta").begin_object();
      json.key("io.modelcontextprotocol/protocolVersion").string(kVersion2026);
      json.key("io.modelcontextprotocol/clientInfo");
      write_info(json, agent_version);
      json.key("io.modelcontextprotocol/clientCapabilities").begin_object().end_object();
      json.end_object().end_object();
      break;
    case McpAsk::initialize:
      begin_message(json, "initialize");
      json.key("id").integer(id).key("params").begin_object();
      json.key("protocolVersion").string(kVersion2025);
      json.key("capabilities").begin_object().end_object().key("clientInfo");
      write_info(json, agent_version);
      json.end_object();
      break;
    case McpAsk::ping:
      begin_message(json, "ping");
      json.key("id").integer(id);
      break;
  }
  json.end_object();
  return body;
}

std::string session_headers(const McpSession& session) {
  std::string headers;
  if (!session.id.empty()) headers += "Mcp-Session-Id: " + session.id + "\r\n";
  if (!session.protocol.empty()) headers += "MCP-Protocol-Version: " + session.protocol + "\r\n";
  return headers;
}

std::string post(const ProbeSpec& spec, const std::string& agent_version,
                 const std::string& headers, const std::string& body) {
  return http_head("POST", spec, agent_version) +
         "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n" +
         headers + format("Content-Length: %zu\r\n\r\n", body.size()) + body;
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

McpVerdict down(std::string detail, bool other_question, int weight) {
  McpVerdict verdict;
  verdict.other_question = other_question;
  verdict.weight = weight;
  verdict.detail = std::move(detail);
  return verdict;
}

McpVerdict not_mcp(const char* why, bool other_question) {
  return down(format("answer is not MCP: %s", why), other_question, kOtherAnswer);
}

McpVerdict named(json::View info, std::string_view protocol) {
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

McpVerdict read_initialized(json::View result) {
  std::string scratch;
  const auto protocol = result["protocolVersion"].string(scratch);
  const json::View info = result["serverInfo"];
  if (!protocol || !is_revision(*protocol)) return not_mcp("no protocolVersion", true);
  if (!info["name"].is(json::View::Type::string) || !info["version"].is(json::View::Type::string)) {
    return not_mcp("no serverInfo", true);
  }
  return named(info, *protocol);
}

McpVerdict read_discovered(json::View result) {
  const json::View versions = result["supportedVersions"];
  if (!versions.is(json::View::Type::array)) return not_mcp("no supportedVersions", true);
  for (const json::View version : versions.elements()) {
    // A server may leave its identity out in this revision.
    if (version.string_is(kVersion2026)) {
      return named(result["_meta"][kServerInfo], kVersion2026);
    }
  }
  return down(format("the server does not support MCP %s", kVersion2026), true, kMcpError);
}

McpVerdict read_result(McpAsk ask, json::View result) {
  if (!result.is(json::View::Type::object)) return not_mcp("neither a result nor an error", true);
  switch (ask) {
    case McpAsk::discover:
      return read_discovered(result);
    case McpAsk::initialize:
      return read_initialized(result);
    case McpAsk::ping:
      break;
  }
  McpVerdict verdict;
  verdict.up = true;
  return verdict;
}

McpVerdict read_error(McpAsk ask, json::View error) {
  std::string scratch;
  const auto code = error["code"].integer();
  const auto message = error["message"].string(scratch);
  if (!code || !message) return not_mcp("an error without code and message", true);
  McpVerdict verdict =
      down(format("MCP error %lld: %s", static_cast<long long>(*code), one_line(*message).c_str()),
           *code != kInternalError, kMcpError);
  // A server that leaves ping out answers all the same.
  verdict.up = ask == McpAsk::ping && *code == kMethodNotFound;
  if (verdict.up) verdict.detail.clear();
  return verdict;
}

std::optional<McpVerdict> read_one(json::View message, McpAsk ask, int64_t wanted) {
  if (!message["jsonrpc"].string_is("2.0")) {
    McpVerdict verdict = not_mcp("not JSON-RPC 2.0", true);
    verdict.answer = false;
    return verdict;
  }
  // The server's own notifications and requests may come first on a stream.
  if (message["method"].exists()) return std::nullopt;
  const json::View id = message["id"];
  const json::View error = message["error"];
  // A request that could not be read as one is answered with the id null, or none.
  const bool is_for_all = error.exists() && (!id.exists() || id.is(json::View::Type::null));
  if (!is_for_all && id.integer() != wanted) return std::nullopt;
  return error.exists() ? read_error(ask, error) : read_result(ask, message["result"]);
}

// Statuses that do not depend on the question: they are about the client, its rate or the time.
bool is_about_the_caller(int status) {
  return status == 401 || status == 403 || status == 407 || status == 408 || status == 421 ||
         status == 429;
}

// What a refusal says in words, in whichever of the usual forms; empty if it has none.
std::string words_of(const HttpResponse& response, std::string_view body) {
  std::string scratch;
  if (response.is_type("text/plain")) return one_line(trim(body));
  if (response.is_type("application/json") && json::Guard().check(body).reason == nullptr) {
    const json::View root = json::View::of(body);
    for (const char* name : {"error_description", "message", "detail", "error"}) {
      if (const auto text = root[name].string(scratch)) return one_line(*text);
    }
  }
  return one_line(response.authenticate());
}

}  // namespace

std::string mcp_request(McpAsk ask, int64_t id, const ProbeSpec& spec,
                        const std::string& agent_version, const McpSession& session) {
  std::string headers;
  if (ask == McpAsk::discover) {
    headers = format("MCP-Protocol-Version: %s\r\nMcp-Method: server/discover\r\n", kVersion2026);
  }
  if (ask == McpAsk::ping) headers = session_headers(session);
  return post(spec, agent_version, headers, body_for(ask, id, agent_version));
}

std::string mcp_initialized(const ProbeSpec& spec, const std::string& agent_version,
                            const McpSession& session) {
  std::string body;
  json::Writer json(body);
  begin_message(json, "notifications/initialized");
  json.end_object();
  return post(spec, agent_version, session_headers(session), body);
}

std::string mcp_goodbye(const ProbeSpec& spec, const std::string& agent_version,
                        const McpSession& session) {
  if (session.id.empty()) return {};
  return http_head("DELETE", spec, agent_version) + session_headers(session) + "\r\n";
}

McpSession mcp_session(const HttpResponse& response, std::string_view protocol) {
  McpSession session;
  session.protocol = protocol;
  const std::string& id = response.session_id();
  if (!response.head_complete() || id.size() > 1024) return session;
  for (const char c : id) {
    if (c < 0x21 || c > 0x7E) return session;
  }
  session.id = id;
  return session;
}

void McpReader::reset(McpAsk ask, int64_t id) {
  ask_ = ask;
  id_ = id;
  sse_.reset();
  noise_.reset();
}

// An event that is no message (a comment, another type of event, a keep-alive in words of its own)
// is skipped, and so is every message that does not answer our question.
std::optional<McpVerdict> McpReader::look_at_stream(HttpResponse& response, bool ended) {
  std::string_view bytes = response.body();
  std::optional<McpVerdict> verdict;
  while (!verdict && sse_.next(bytes)) {
    // An event with empty data only gives the stream a position to resume from.
    if (!sse_.is_message() || sse_.data().empty()) continue;
    verdict = read_message(sse_.data());
    if (!verdict || verdict->answer) continue;
    noise_ = std::move(verdict);
    verdict.reset();
  }
  response.body().clear();
  if (verdict) return verdict;
  if (sse_.overflowed() || response.truncated()) {
    return not_mcp("64 KiB of events without an answer", false);
  }
  if (!ended) return std::nullopt;
  if (noise_) return noise_;
  return not_mcp("the event stream ended without it", false);
}

McpVerdict McpReader::look_at_refusal(HttpResponse& response) const {
  const int status = response.status();
  const std::string number = format("HTTP %d", status);
  if (status >= 300 && status < 400 && !response.location().empty()) {
    return down(number + " to " + one_line(response.location()) +
                    ", which is not followed: the probe's url has to name it",
                false, kWords);
  }
  const bool refused = status >= 400 && status < 500;
  const bool other = (refused && !is_about_the_caller(status)) || status == 501;
  std::optional<McpVerdict> error;
  if (response.is_type("application/json") && !response.truncated()) {
    error = read_message(response.body());
    if (error && error->weight < kMcpError && !error->up) error.reset();
  }
  const std::string words =
      error && !error->up ? error->detail : words_of(response, response.body());
  if (status == 401 || status == 403) {
    McpVerdict verdict;
    verdict.up = verdict.refused = true;
    verdict.detail = number + ", so it is alive" + (words.empty() ? "" : ": " + words);
    return verdict;
  }
  if (error && error->up) return *error;
  if (error) return down(number + ": " + words, other, kMcpError);
  const char* hint = status == 421 ? " (the probe's key 'host' sets the Host header)" : "";
  if (!words.empty()) return down(number + ": " + words + hint, other, kWords);
  return down(number + ", expected 200" + hint, other, kBareStatus);
}

std::optional<McpVerdict> McpReader::look(HttpResponse& response, bool ended) {
  if (!response.head_complete()) {
    return ended ? std::optional(not_mcp("nothing", false)) : std::nullopt;
  }
  const int status = response.status();
  const bool success = status >= 200 && status < 300;
  if (success && response.is_compressed()) {
    return not_mcp("it is compressed, which was not asked for", false);
  }
  if (success && response.is_type("text/event-stream")) return look_at_stream(response, ended);
  if (!ended) return std::nullopt;
  if (!success) return look_at_refusal(response);
  if (response.is_type("application/json") && !response.truncated()) {
    const std::optional<McpVerdict> verdict = read_message(response.body());
    return verdict ? verdict : not_mcp("it answers another request", false);
  }
  if (response.truncated()) return not_mcp("longer than 64 KiB", false);
  if (response.content_type().empty()) return not_mcp("no Content-Type", true);
  return not_mcp(one_line("Content-Type " + response.content_type()).c_str(), true);
}

std::optional<McpVerdict> McpReader::read_message(std::string_view json) const {
  if (const json::Fault fault = json::Guard().check(json); fault.reason != nullptr) {
    const std::string why = format("not valid JSON: %s (at byte %zu)", fault.reason, fault.offset);
    McpVerdict verdict = not_mcp(why.c_str(), false);
    verdict.answer = false;
    return verdict;
  }
  const json::View root = json::View::of(json);
  if (!root.is(json::View::Type::array)) return read_one(root, ask_, id_);
  // A batch, which revision 2025-03-26 allows.
  for (const json::View one : root.elements()) {
    if (auto verdict = read_one(one, ask_, id_)) return verdict;
  }
  return std::nullopt;
}

}  // namespace nb::probe
