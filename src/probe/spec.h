// Liveness probes: checks of the programs beside the agent, repeated at an interval, each with a
// verdict of its own. The invariant of this room: a probe that hangs costs its own verdict and
// nothing else. Each is a state machine on the loop with one deadline; nothing here waits.
//
// ProbeSpec: what to ask and how often. Two equal specs are the same probe (ProbeSet::set).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "uv/address.h"

namespace nb::probe {

enum class ProbeType : uint8_t {
  mcp,          // an MCP server over streamable HTTP gives the answers of the protocol
  http,         // an HTTP server answers with an expected status, and text if one is given
  tcp,          // a TCP port takes a connection
  unix_socket,  // a Unix socket takes a connection
  process,      // a process, by pidfile or by command line, lives
  systemd,      // a systemd unit is active
};

// "mcp", "http", "tcp", "unix", "process", "systemd": as in the configuration and the reports.
std::string_view type_name(ProbeType type);

enum class McpEra : uint8_t {
  automatic,       // the protocol that the server understands, found out and remembered
  session_2025,    // `initialize` of the 2025 revisions
  stateless_2026,  // `server/discover` of revision 2026-07-28
};

// From first to last, both included.
struct StatusRange {
  int first = 200;
  int last = 200;
  bool operator==(const StatusRange&) const = default;
};

struct ProbeSpec {
  std::string name;
  ProbeType type = ProbeType::tcp;
  Duration interval = std::chrono::seconds(5);
  Duration timeout = std::chrono::seconds(2);  // at most the interval
  unsigned up_after = 1;                       // successes in a row
  unsigned down_after = 2;                     // failures in a row

  uv::Target target;            // mcp, http, tcp: host and port; unix_socket: unix_path
  std::string http_path = "/";  // mcp, http: with the query; visible characters only
  std::string http_host;        // mcp, http: the Host header; empty: made from the target
  McpEra era = McpEra::automatic;
  Duration start_timeout = std::chrono::seconds(30);  // mcp: time that a server may take to start
  std::vector<StatusRange> expect_status = {StatusRange{}};  // http
  std::string expect_text;                                   // http: in the body; empty: any
  std::string pidfile;                                       // process: this ...
  std::string command;  // ... or a text that the command line contains
  std::string unit;     // systemd; without a suffix, a service

  bool operator==(const ProbeSpec& other) const;
};

}  // namespace nb::probe
