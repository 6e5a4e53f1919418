// The two MCP questions a probe asks, and the reading of what comes back. Pure.
//
// modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle (initialize) and
// .../2026-07-28/server/discover; transport: .../basic/transports, "Streamable HTTP".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "probe/http_response.h"
#include "probe/spec.h"
#include "probe/sse.h"

namespace nb::probe {

// A whole HTTP request that asks in the given era, which is not `automatic`.
std::string mcp_request(McpEra era, const uv::Target& target, const std::string& path,
                        const std::string& agent_version);

// A whole HTTP request that ends a session of the 2025 era, or "" if `session_id` is not one that
// may stand in a header (visible ASCII). `protocol` is the revision agreed on, if known.
std::string mcp_goodbye(const uv::Target& target, const std::string& path,
                        const std::string& agent_version, const std::string& session_id,
                        const std::string& protocol);

struct McpVerdict {
  bool up = false;
  // Down, in a way that a server of the other era would answer too: worth asking in that one.
  bool other_era = false;
  bool rpc_error = false;  // the server said so itself, as JSON-RPC asks
  std::string detail;      // "cell-tools 1.4.2, MCP 2025-11-25", or what is wrong
  std::string protocol;    // up: the revision
};

// Reads one answer as it comes in.
class McpReader {
 public:
  void reset(McpEra era);

  // Looks at what `response` holds now, taking an event stream's bytes out of its body. Nothing
  // while more has to come; when `ended`, always a verdict.
  std::optional<McpVerdict> look(HttpResponse& response, bool ended);

 private:
  // One JSON text. Nothing if it is a valid message, but not the answer to our request.
  std::optional<McpVerdict> read_message(std::string_view json) const;

  McpEra era_ = McpEra::session_2025;
  SseParser sse_;
};

}  // namespace nb::probe
