#include "probe/spec.h"

#include <tuple>

namespace nb::probe {

std::string_view type_name(ProbeType type) {
  switch (type) {
    case ProbeType::mcp:
      return "mcp";
    case ProbeType::http:
      return "http";
    case ProbeType::tcp:
      return "tcp";
    case ProbeType::unix_socket:
      return "unix";
    case ProbeType::process:
      return "process";
    case ProbeType::systemd:
      return "systemd";
  }
  return "";
}

bool ProbeSpec::operator==(const ProbeSpec& other) const {
  const auto all = [](const ProbeSpec& s) {
    return std::tie(s.name, s.type, s.interval, s.timeout, s.up_after, s.down_after, s.target.host,
                    s.target.port, s.target.unix_path, s.http_path, s.http_host, s.era,
                    s.start_timeout, s.expect_status, s.expect_text, s.pidfile, s.command, s.unit);
  };
  return all(*this) == all(other);
}

}  // namespace nb::probe
