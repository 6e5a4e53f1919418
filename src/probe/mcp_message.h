// What an MCP probe asks, and the reading of what comes back. Pure.
//
// modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle (initialize), .../utilities/ping
// and .../2026-07-28/server/discover; transport: .../basic/transports, "Streamable HTTP".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "probe/http_response.h"
#include "probe/spec.h"
#include "probe/sse.h"

namespace nb::probe {

enum class McpAsk : uint8_t {
  discover,    // 2026: server/discover, which opens nothing
  initialize,  // 2025: opens a session
  ping,        // 2025: in that session
};

// A session of the 2025 era.
struct McpSession {
  std::string id;        // Mcp-Session-Id; empty: this server does without
  std::string protocol;  // the revision agreed on
};

// A whole HTTP request. `id` is unlike those of the session's earlier requests. `session` is for
// ping only.
std::string mcp_request(McpAsk ask, int64_t id, const ProbeSpec& spec,
                        const std::string& agent_version, const McpSession& session = {});

// Whole HTTP requests to which no answer matters: that the session is in use (the second step of
// opening it), and that it is over; "" if it has no id.
std::string mcp_initialized(const ProbeSpec& spec, const std::string& agent_version,
                            const McpSession& session);
std::string mcp_goodbye(const ProbeSpec& spec, const std::string& agent_version,
                        const McpSession& session);

// The session that `response` has opened: without an id if that may not stand in a header.
McpSession mcp_session(const HttpResponse& response, std::string_view protocol);

struct McpVerdict {
  bool up = false;
  // Up, since a server is there and refused the request (401, 403). Nothing else is known of it.
  bool refused = false;
  // Down, in a way that another question may not meet: one in the other era, or to a ping one that
  // opens a new session.
  bool other_question = false;
  bool answer = true;    // false: a message on the stream that is none to our question
  int weight = 0;        // of two reasons for being down, the greater one tells more
  std::string detail;    // "cell-tools 1.4.2, MCP 2025-11-25", or what is wrong; a ping's is empty
  std::string protocol;  // up: the revision
};

// Reads one answer as it comes in.
class McpReader {
 public:
  void reset(McpAsk ask, int64_t id);

  // Looks at what `response` holds now, taking an event stream's bytes out of its body. Nothing
  // while more has to come; when `ended`, always a verdict.
  std::optional<McpVerdict> look(HttpResponse& response, bool ended);

 private:
  std::optional<McpVerdict> look_at_stream(HttpResponse& response, bool ended);
  McpVerdict look_at_refusal(HttpResponse& response) const;
  // One JSON text. Nothing if it is a valid message, but not the answer to our request.
  std::optional<McpVerdict> read_message(std::string_view json) const;

  McpAsk ask_ = McpAsk::initialize;
  int64_t id_ = 0;
  SseParser sse_;
  std::optional<McpVerdict> noise_;  // the last event that was no message at all
};

}  // namespace nb::probe
