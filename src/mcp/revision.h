// The revisions of MCP, and how a request of each names its revision. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "json/view.h"
#include "mcp/message.h"

namespace nb::mcp {

enum class Era : uint8_t {
  older,   // begins with a handshake
  modern,  // each request names its revision
};

inline constexpr std::string_view kModernRevision = "2026-07-28";
// With a handshake, the newest first.
inline constexpr std::string_view kOlderRevisions[] = {"2025-11-25", "2025-06-18"};

bool is_older_revision(std::string_view name);

// The revision that a request names in its `_meta`; missing where it names none.
json::View revision_in(json::View params);

// The missing parts of a request of the modern era: `params._meta` has to name the revision and the
// client's capabilities.
std::optional<ErrorWords> fault_in_meta(json::View params);

// The answer to one that names a revision that is not served. `requested` is JSON.
ErrorWords unsupported_revision(std::string_view requested);

}  // namespace nb::mcp
