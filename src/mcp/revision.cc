#include "mcp/revision.h"

#include <algorithm>
#include <string>

namespace nb::mcp {
namespace {

using View = json::View;

constexpr char kVersionKey[] = "io.modelcontextprotocol/protocolVersion";
constexpr char kCapabilitiesKey[] = "io.modelcontextprotocol/clientCapabilities";
constexpr char kSupported[] = R"({"supported":["2026-07-28"],"requested":)";

}  // namespace

bool is_older_revision(std::string_view name) {
  return std::find(std::begin(kOlderRevisions), std::end(kOlderRevisions), name) !=
         std::end(kOlderRevisions);
}

View revision_in(View params) {
  return params["_meta"][kVersionKey];
}

ErrorWords unsupported_revision(std::string_view requested) {
  return {kUnsupportedVersion, "this revision is not served",
          kSupported + std::string(requested) + '}'};
}

std::optional<ErrorWords> fault_in_meta(View params) {
  const View version = revision_in(params);
  if (!version.exists()) {
    return ErrorWords{kInvalidParams,
                      "`_meta` lacks `" + std::string(kVersionKey) +
                          "`: name the revision in each request (2026-07-28), or begin with "
                          "`initialize` (2025-11-25, 2025-06-18)",
                      {}};
  }
  if (!version.is(View::Type::string)) {
    return ErrorWords{kInvalidParams, '`' + std::string(kVersionKey) + "`: expected a string", {}};
  }
  if (!version.string_is(kModernRevision)) return unsupported_revision(version.raw());
  if (!params["_meta"][kCapabilitiesKey].is(View::Type::object)) {
    return ErrorWords{kInvalidParams,
                      '`' + std::string(kCapabilitiesKey) + "`: expected an object in `_meta`",
                      {}};
  }
  return std::nullopt;
}

}  // namespace nb::mcp
