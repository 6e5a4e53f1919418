#include "probe/check.h"

#include "probe/connect_check.h"
#include "probe/http_check.h"
#include "probe/mcp_check.h"
#include "probe/process_check.h"
#include "probe/systemd_check.h"

namespace nb::probe {

Outcome not_looked_up(const uv::Target& target, const std::string& limit) {
  return {Finding::unknown, "the name '" + target.host + "' was not looked up within " + limit};
}

std::unique_ptr<Check> make_check(const CheckContext& context, const ProbeSpec& spec,
                                  OnOutcome on_outcome) {
  switch (spec.type) {
    case ProbeType::mcp:
      return std::make_unique<McpCheck>(context, spec, on_outcome);
    case ProbeType::http:
      return std::make_unique<HttpCheck>(context, spec, on_outcome);
    case ProbeType::tcp:
    case ProbeType::unix_socket:
      return std::make_unique<ConnectCheck>(context, spec, on_outcome);
    case ProbeType::process:
      return std::make_unique<ProcessCheck>(context, spec, on_outcome);
    case ProbeType::systemd:
      return std::make_unique<SystemdCheck>(context, spec, on_outcome);
  }
  return nullptr;
}

}  // namespace nb::probe
