// Config: all settings of the agent, checked, in one value that never changes. A reload loads a new
// Config and swaps it in as a whole (load.h); changes.h says which of its keys the running agent
// can apply. Durations are std::chrono, sizes are bytes.
//
// The members have no defaults here. The defaults, ranges and documentation of all keys are the
// table in key_table.h, and default_config() is made from it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "config/endpoint.h"
#include "config/redis_url.h"

namespace nb::config {

enum class Gpu : uint8_t { automatic, none, jetson, amd, nvidia };
enum class ProbeType : uint8_t { mcp, http, tcp, unix_socket, process, systemd };
enum class McpEra : uint8_t { automatic, session_2025, stateless_2026 };

// A Redis database by name: [redis.db] health = 0.
struct Database {
  std::string name;
  int number = 0;

  bool operator==(const Database&) const = default;
};

// HTTP status codes from first to last, both included: 200 is {200, 200}, "2xx" is {200, 299}.
struct StatusRange {
  uint16_t first = 0;
  uint16_t last = 0;

  bool operator==(const StatusRange&) const = default;
};

struct NodeConfig {
  std::string name;

  bool operator==(const NodeConfig&) const = default;
};

struct LogConfig {
  LogLevel level{};
  uint64_t lines_per_minute = 0;  // 0: all

  bool operator==(const LogConfig&) const = default;
};

struct HeartbeatConfig {
  Duration interval{};
  Duration ttl{};  // at least two intervals
  bool history = false;
  uint64_t history_length = 0;
  Duration forget_after{};  // 0: never

  bool operator==(const HeartbeatConfig&) const = default;
};

struct LeaseConfig {
  Duration interval{};
  Duration patience{};  // at least two intervals

  bool operator==(const LeaseConfig&) const = default;
};

struct WatchConfig {
  bool enabled = false;

  bool operator==(const WatchConfig&) const = default;
};

struct RedisConfig {
  // The address of the link: from url, with the user and the password that won (secrets.h).
  RedisAddress address;
  std::string url;  // with the password masked: for people, never for a connection

  std::string username;       // as in `address`
  std::string password;       // as in `address`; never logged
  std::string password_file;  // where it was read from, or empty
  Duration connect_timeout{};
  Duration command_timeout{};
  Duration ping_after{};
  Duration backoff_base{};
  Duration backoff_cap{};
  Duration stable_after{};
  uint64_t max_reply = 0;
  uint64_t max_output = 0;
  std::string prefix;  // of all keys and channels; empty: none
  // The named databases. Without a [redis.db] table: `health` is the URL's database.
  std::vector<Database> db;

  // The number of a named database. A name that is not defined is an error, never database 0.
  Result<int> db_for(std::string_view name) const;

  bool operator==(const RedisConfig&) const = default;
};

struct HealthConfig {
  std::vector<std::string> disks;  // mount points, absolute
  Gpu gpu{};
  std::vector<std::string> network;  // interfaces; empty: all but lo

  bool operator==(const HealthConfig&) const = default;
};

struct SocketConfig {
  std::string path;  // empty: no socket
  uint32_t mode = 0;
  std::string group;
  std::vector<std::string> allow_users;   // names or numbers; empty: all that the mode lets in
  std::vector<std::string> allow_groups;  // likewise
  uint64_t max_clients = 0;
  uint64_t max_clients_per_user = 0;  // 0: three quarters of max_clients
  uint64_t max_line = 0;              // bytes
  uint64_t max_output = 0;            // bytes a client
  Duration line_timeout{};
  std::vector<std::string> rights;  // at least one
  uint64_t calls_per_second = 0;    // of one client; 0: no limit
  uint64_t events_per_second = 0;   // likewise
  bool is_view = false;             // not in the configuration: it is there by default (load.h)

  bool operator==(const SocketConfig&) const = default;
};

struct RobotConfig {
  Duration event_interval{};
  Duration telemetry_interval{};  // 0: none
  uint64_t telemetry_length = 0;
  Duration ended_ttl{};
  uint64_t ended_bytes = 0;
  uint64_t history_length = 0;
  uint64_t events_length = 0;
  uint64_t events_per_hour = 0;
  uint64_t sessions_per_hour = 0;
  uint64_t history_bytes_per_hour = 0;

  bool operator==(const RobotConfig&) const = default;
};

struct SessionConfig {
  uint64_t audit_length = 0;  // 0: no audit
  bool audit_state = false;

  bool operator==(const SessionConfig&) const = default;
};

struct BusConfig {
  std::string instance;  // empty: the agent's instance id

  bool operator==(const BusConfig&) const = default;
};

struct OutboxConfig {
  uint64_t slot_bytes = 0;
  uint64_t client_slot_bytes = 0;
  uint64_t new_value_bytes_per_hour = 0;
  uint64_t event_bytes = 0;
  uint64_t urgent_bytes = 0;
  uint64_t client_event_bytes = 0;
  Duration event_age{};
  Duration max_age{};
  uint64_t stream_bytes = 0;
  uint64_t channels = 0;
  uint64_t channel_length = 0;
  uint64_t channel_bytes = 0;
  Duration channel_ttl{};

  bool operator==(const OutboxConfig&) const = default;
};

struct ProbeConfig {
  std::string name;
  ProbeType type{};
  Duration interval{};
  Duration timeout{};  // at most the interval
  uint64_t up_after = 0;
  uint64_t down_after = 0;
  // Only the members of the type are set.
  HttpUrl url;                             // mcp, http
  std::string host;                        // mcp, http: the Host header; empty: the url's
  McpEra era{};                            // mcp
  Duration start_timeout{};                // mcp
  std::vector<StatusRange> expect_status;  // http
  std::string expect_text;                 // http; empty: any
  Endpoint address;                        // tcp
  std::string path;                        // unix
  std::string pidfile;                     // process: this
  std::string command;                     // process: or this
  std::string unit;                        // systemd

  bool operator==(const ProbeConfig&) const = default;
};

struct Config {
  NodeConfig node;
  LogConfig log;
  HeartbeatConfig heartbeat;
  LeaseConfig lease;
  WatchConfig watch;
  RedisConfig redis;
  HealthConfig health;
  SocketConfig socket;  // [socket], or the first [[socket]]
  // Where it has a path: the further [[socket]]s. Without any [[socket]], the view.
  std::vector<SocketConfig> more_sockets;
  RobotConfig robot;
  SessionConfig session;
  BusConfig bus;
  OutboxConfig outbox;
  std::vector<ProbeConfig> probes;

  bool operator==(const Config&) const = default;
};

}  // namespace nb::config
