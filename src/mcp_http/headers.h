// The headers of an MCP message over HTTP, and whether they fit the message. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"
#include "mcp/message.h"
#include "mcp/revision.h"

namespace nb::mcp_http {

inline constexpr std::string_view kVersionHeader = "MCP-Protocol-Version";
inline constexpr std::string_view kSessionHeader = "Mcp-Session-Id";

// Whether `Accept` lets an answer be of this type, "application/json". Without `Accept` any is.
bool accepts(const http::Request& request, std::string_view type);

// Whether `Content-Type` is application/json, whatever follows it. A page of another origin cannot
// send that without having asked before.
bool has_json(const http::Request& request);

// The era that a request speaks: by the header, and only without one by the message.
mcp::Era era_of(const http::Request& request, const mcp::Message& message);

// The mistake in the headers or the `_meta` of a request of that era. The first of these is
// reported: an unknown revision, a header that differs from the message, an incomplete `_meta`.
std::optional<mcp::ErrorWords> fault_in(const http::Request& request, const mcp::Message& message,
                                        mcp::Era era);

// The decoded value: one in =?base64?...?= is decoded. Nothing if it is malformed.
std::optional<std::string> decoded(std::string_view value);

}  // namespace nb::mcp_http
