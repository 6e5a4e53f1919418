#include "config/keys.h"

#include "config/assign.h"

namespace nb::config {
namespace {

constexpr uint8_t bit(ProbeType type) {
  return static_cast<uint8_t>(1u << static_cast<int>(type));
}
constexpr uint8_t kMcp = bit(ProbeType::mcp);
constexpr uint8_t kHttp = bit(ProbeType::http);
constexpr uint8_t kTcp = bit(ProbeType::tcp);
constexpr uint8_t kUnix = bit(ProbeType::unix_socket);
constexpr uint8_t kProcess = bit(ProbeType::process);
constexpr uint8_t kSystemd = bit(ProbeType::systemd);

#define NB_FIELD(...) \
  [](Config& c, ProbeConfig& p) -> Field { return (void)c, (void)p, Field(__VA_ARGS__); }

constexpr Key kKeys[] = {
    {.section = "node",
     .name = "name",
     .field = NB_FIELD(c.node.name),
     .doc = "Name of this node, unique in the cell: part of its keys in Redis. 1 to 64 letters,\n"
            "digits, '-', '_' and '.', a letter or digit first. Default: the host name up to the\n"
            "first dot.",
     .example = "hog",
     .short_env = "NODEBEAT_NODE",
     .rule = Rule::name,
     .needs_restart = true},

    {.section = "log",
     .name = "level",
     .field = NB_FIELD(c.log.level),
     .fallback = "info",
     .allowed = "error|warning|notice|info|debug",
     .doc = "The least important lines that are still logged."},

    {.section = "heartbeat",
     .name = "interval",
     .field = NB_FIELD(c.heartbeat.interval),
     .fallback = "5s",
     .allowed = "100ms..1h",
     .doc = "Time from one beat to the next."},
    {.section = "heartbeat",
     .name = "ttl",
     .field = NB_FIELD(c.heartbeat.ttl),
     .fallback = "15s",
     .allowed = "1s..1d",
     .doc = "How long a beat lives in Redis: that long after the last one the node is gone. At\n"
            "least two intervals."},
    {.section = "heartbeat",
     .name = "history",
     .field = NB_FIELD(c.heartbeat.history),
     .fallback = "true",
     .doc = "Whether each beat is also appended to the stream stream:node_metrics:<node>."},
    {.section = "heartbeat",
     .name = "history_length",
     .field = NB_FIELD(c.heartbeat.history_length, Field::Type::integer),
     .fallback = "5000",
     .allowed = "1..1000000",
     .doc = "About how many beats that stream keeps (Redis trims it in whole blocks)."},

    {.section = "redis",
     .name = "url",
     .field = NB_FIELD(c.redis.url),
     .fallback = "redis://127.0.0.1:6379/0",
     .doc =
         "redis://[user[:password]@]host[:port][/db] or unix://[user[:password]@]/path[?db=N].\n"
         "IPv6 addresses in brackets; user and password may be percent-encoded. TLS (rediss://)\n"
         "is not supported yet.",
     .short_env = "NODEBEAT_REDIS",
     .rule = Rule::redis_url},
    {.section = "redis",
     .name = "username",
     .field = NB_FIELD(c.redis.username),
     .doc = "ACL user, instead of the one in the URL. Empty: the default user."},
    {.section = "redis",
     .name = "password",
     .field = NB_FIELD(c.redis.password),
     .doc =
         "Password, instead of the one in the URL. Better kept out of this file: see\n"
         "password_file. Of several places the first that has one wins: the URL of --redis, the\n"
         "environment, the systemd credential redis-password, this file; and of one place\n"
         "password_file before password before url.",
     .secret = true},
    {.section = "redis",
     .name = "password_file",
     .field = NB_FIELD(c.redis.password_file),
     .doc =
         "File with nothing in it but the password (a final newline is not part of it). Read at\n"
         "start and at each reload.",
     .rule = Rule::path},
    {.section = "redis",
     .name = "connect_timeout",
     .field = NB_FIELD(c.redis.connect_timeout),
     .fallback = "2s",
     .allowed = "10ms..1min",
     .doc = "After this long without an answer the next address is tried."},
    {.section = "redis",
     .name = "command_timeout",
     .field = NB_FIELD(c.redis.command_timeout),
     .fallback = "1900ms",
     .allowed = "10ms..1min",
     .doc = "A server that leaves a command unanswered for this long is given up."},
    {.section = "redis",
     .name = "ping_after",
     .field = NB_FIELD(c.redis.ping_after),
     .fallback = "1s",
     .allowed = "10ms..1min",
     .doc = "After this long without traffic the server is asked whether it is still there."},
    {.section = "redis",
     .name = "backoff_base",
     .field = NB_FIELD(c.redis.backoff_base),
     .fallback = "100ms",
     .allowed = "1ms..1min",
     .doc = "Longest pause before the first new attempt; it doubles with each that fails."},
    {.section = "redis",
     .name = "backoff_cap",
     .field = NB_FIELD(c.redis.backoff_cap),
     .fallback = "5s",
     .allowed = "1ms..1h",
     .doc = "Longest pause between two attempts, which go on for ever."},
    {.section = "redis",
     .name = "stable_after",
     .field = NB_FIELD(c.redis.stable_after),
     .fallback = "10s",
     .allowed = "0s..1h",
     .doc = "A link that lasted this long starts again from backoff_base."},
    {.section = "redis",
     .name = "max_reply",
     .field = NB_FIELD(c.redis.max_reply, Field::Type::size),
     .fallback = "16MiB",
     .allowed = "64KiB..1GiB",
     .doc = "A longer reply ends the connection."},
    {.section = "redis",
     .name = "max_output",
     .field = NB_FIELD(c.redis.max_output, Field::Type::size),
     .fallback = "16MiB",
     .allowed = "64KiB..1GiB",
     .doc = "Most that may wait for a slow server to take it."},
    {.section = "redis",
     .name = "db",
     .field = NB_FIELD(c.redis.db),
     .doc = "Databases by name, 0 to 16383. Without this table, 'health' is the URL's database.\n"
            "With it, every name that is used has to be in it (now: health); none is ever guessed.",
     .example = "health=0",
     .needs_restart = true},

    {.section = "health",
     .name = "disks",
     .field = NB_FIELD(c.health.disks),
     .fallback = "/",
     .doc = "Mount points; the fullest is reported.",
     .rule = Rule::path},
    {.section = "health",
     .name = "gpu",
     .field = NB_FIELD(c.health.gpu),
     .fallback = "auto",
     .allowed = "auto|none|jetson|amd|nvidia",
     .doc = "Which GPU is read."},
    {.section = "health",
     .name = "network",
     .field = NB_FIELD(c.health.network),
     .doc = "Network interfaces whose rates are reported. Empty: all but lo.",
     .rule = Rule::interface},

    {.section = "socket",
     .name = "path",
     .field = NB_FIELD(c.socket.path),
     .fallback = "/run/nodebeat/agent.sock",
     .doc = "The Unix socket for local programs, at most 107 bytes long. Empty: none is served.",
     .short_env = "NODEBEAT_SOCKET",
     .rule = Rule::socket_path_or_none,
     .needs_restart = true},
    {.section = "socket",
     .name = "mode",
     .field = NB_FIELD(c.socket.mode),
     .fallback = "0660",
     .doc = "Its access mode, octal, in quotes.",
     .needs_restart = true},
    {.section = "socket",
     .name = "group",
     .field = NB_FIELD(c.socket.group),
     .fallback = "nodebeat",
     .doc = "Its group, by name (in /etc/group) or number. Empty: the agent's own.",
     .rule = Rule::group,
     .needs_restart = true},
    {.section = "socket",
     .name = "allow_users",
     .field = NB_FIELD(c.socket.allow_users),
     .doc =
         "Users who may connect, by name (in /etc/passwd) or number, if the mode lets them, such\n"
         "as [\"robot\", \"1000\"]. With this or allow_groups set, others are told and "
         "disconnected.",
     .rule = Rule::group,
     .needs_restart = true},
    {.section = "socket",
     .name = "allow_groups",
     .field = NB_FIELD(c.socket.allow_groups),
     .doc =
         "Groups whose processes may connect (a process's own group, not the further ones of its\n"
         "user).",
     .rule = Rule::group,
     .needs_restart = true},
    {.section = "socket",
     .name = "max_clients",
     .field = NB_FIELD(c.socket.max_clients, Field::Type::integer),
     .fallback = "64",
     .allowed = "1..4096",
     .doc = "Connections at a time; one more gets the error 'busy'.",
     .needs_restart = true},
    {.section = "socket",
     .name = "max_line",
     .field = NB_FIELD(c.socket.max_line, Field::Type::size),
     .fallback = "64KiB",
     .allowed = "4KiB..1MiB",
     .doc = "Longest message from a client.",
     .needs_restart = true},
    {.section = "socket",
     .name = "max_output",
     .field = NB_FIELD(c.socket.max_output, Field::Type::size),
     .fallback = "1MiB",
     .allowed = "64KiB..64MiB",
     .doc = "Most that may wait for one client to read it; beyond it that client is cut off.",
     .needs_restart = true},
    {.section = "socket",
     .name = "line_timeout",
     .field = NB_FIELD(c.socket.line_timeout),
     .fallback = "10s",
     .allowed = "100ms..1h",
     .doc = "A client that has begun a line and not ended it for this long is disconnected.",
     .needs_restart = true},

    {.section = "robot",
     .name = "event_interval",
     .field = NB_FIELD(c.robot.event_interval),
     .fallback = "100ms",
     .allowed = "0s..1h",
     .doc = "Least time between two state_update events; the last update is always published. The\n"
            "state itself takes every update."},
    {.section = "robot",
     .name = "telemetry_interval",
     .field = NB_FIELD(c.robot.telemetry_interval),
     .fallback = "0s",
     .allowed = "0s..1h",
     .doc = "Least time between two samples of the joints in the stream stream:robot_telemetry.\n"
            "0s: none are written."},
    {.section = "robot",
     .name = "telemetry_length",
     .field = NB_FIELD(c.robot.telemetry_length, Field::Type::integer),
     .fallback = "5000",
     .allowed = "1..10000000",
     .doc = "About how many samples that stream keeps."},
    {.section = "robot",
     .name = "ended_ttl",
     .field = NB_FIELD(c.robot.ended_ttl),
     .fallback = "1d",
     .allowed = "1s..365d",
     .doc = "How long the progress of an ended stroke session stays in Redis."},
    {.section = "robot",
     .name = "history_length",
     .field = NB_FIELD(c.robot.history_length, Field::Type::integer),
     .fallback = "10000",
     .allowed = "1..10000000",
     .doc = "About how many entries the history of a stroke session keeps."},
    {.section = "robot",
     .name = "events_length",
     .field = NB_FIELD(c.robot.events_length, Field::Type::integer),
     .fallback = "5000",
     .allowed = "1..10000000",
     .doc = "About how many events the stream stream:node_events:<node> keeps: starts and ends of\n"
            "sessions, errors, and what was published."},

    {.section = "outbox",
     .name = "slot_bytes",
     .field = NB_FIELD(c.outbox.slot_bytes, Field::Type::size),
     .fallback = "4MiB",
     .allowed = "4KiB..1GiB",
     .doc = "Most that all values of state.set may take; one more gets the error 'queue_full'."},
    {.section = "outbox",
     .name = "event_bytes",
     .field = NB_FIELD(c.outbox.event_bytes, Field::Type::size),
     .fallback = "1MiB",
     .allowed = "4KiB..1GiB",
     .doc =
         "Most that waits for Redis as events; then the oldest are dropped, and that is recorded."},
    {.section = "outbox",
     .name = "event_age",
     .field = NB_FIELD(c.outbox.event_age),
     .fallback = "10min",
     .allowed = "1s..7d",
     .doc = "Events that waited longer are dropped, and that is recorded."},
    {.section = "outbox",
     .name = "max_age",
     .field = NB_FIELD(c.outbox.max_age),
     .fallback = "5s",
     .allowed = "0s..7d",
     .doc =
         "A message older than this is no more published when the link returns; it stays in its\n"
         "stream."},

    {.section = kProbeSection,
     .name = "name",
     .field = NB_FIELD(p.name),
     .doc = "Unique among the probes; letters as in node.name. Required.",
     .example = "vision-mcp",
     .rule = Rule::name},
    {.section = kProbeSection,
     .name = "type",
     .field = NB_FIELD(p.type),
     .allowed = "mcp|http|tcp|unix|process|systemd",
     .doc = "What is asked. Required; it decides which of the keys below may be there.",
     .example = "mcp"},
    {.section = kProbeSection,
     .name = "interval",
     .field = NB_FIELD(p.interval),
     .fallback = "5s",
     .allowed = "100ms..1h",
     .doc = "Time from one question to the next."},
    {.section = kProbeSection,
     .name = "timeout",
     .field = NB_FIELD(p.timeout),
     .fallback = "2s",
     .allowed = "10ms..1h",
     .doc = "No answer after this long is a failure. At most the interval, which is also the\n"
            "default where it is shorter than 2s."},
    {.section = kProbeSection,
     .name = "up_after",
     .field = NB_FIELD(p.up_after, Field::Type::integer),
     .fallback = "1",
     .allowed = "1..1000",
     .doc = "So many successes in a row make it up."},
    {.section = kProbeSection,
     .name = "down_after",
     .field = NB_FIELD(p.down_after, Field::Type::integer),
     .fallback = "2",
     .allowed = "1..1000",
     .doc = "So many failures in a row make it down."},
    {.section = kProbeSection,
     .name = "url",
     .field = NB_FIELD(p.url),
     .doc = "mcp, http: http://host[:port]/path. Required.",
     .example = "http://127.0.0.1:8080/mcp",
     .probe_types = kMcp | kHttp},
    {.section = kProbeSection,
     .name = "era",
     .field = NB_FIELD(p.era),
     .fallback = "auto",
     .allowed = "auto|2025|2026",
     .doc =
         "mcp: which protocol is spoken: initialize (2025), server/discover (2026), or what the\n"
         "server understands.",
     .probe_types = kMcp},
    {.section = kProbeSection,
     .name = "expect_status",
     .field = NB_FIELD(p.expect_status),
     .fallback = "200",
     .doc = "http: the status that means up: a number, \"2xx\", or a list of such.",
     .probe_types = kHttp},
    {.section = kProbeSection,
     .name = "expect_text",
     .field = NB_FIELD(p.expect_text),
     .doc = "http: a text that has to be in the body. Empty: any.",
     .probe_types = kHttp},
    {.section = kProbeSection,
     .name = "address",
     .field = NB_FIELD(p.address),
     .doc = "tcp: host:port. Required.",
     .example = "127.0.0.1:5432",
     .probe_types = kTcp},
    {.section = kProbeSection,
     .name = "path",
     .field = NB_FIELD(p.path),
     .doc = "unix: the socket's absolute path. Required.",
     .example = "/run/docker.sock",
     .rule = Rule::socket_path,
     .probe_types = kUnix},
    {.section = kProbeSection,
     .name = "pidfile",
     .field = NB_FIELD(p.pidfile),
     .doc = "process: file with its process id. Either this or command is required.",
     .example = "/run/robot.pid",
     .rule = Rule::path,
     .probe_types = kProcess},
    {.section = kProbeSection,
     .name = "command",
     .field = NB_FIELD(p.command),
     .doc = "process: text that its command line contains.",
     .example = "robot_main --arm left",
     .rule = Rule::plain,
     .probe_types = kProcess},
    {.section = kProbeSection,
     .name = "unit",
     .field = NB_FIELD(p.unit),
     .doc = "systemd: the unit; without a suffix, a service. Required.",
     .example = "redis-server.service",
     .rule = Rule::unit,
     .probe_types = kSystemd},
};
#undef NB_FIELD

char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

}  // namespace

std::span<const Key> all_keys() {
  return kKeys;
}

const Key* find_key(std::string_view section, std::string_view name) {
  for (const Key& key : kKeys) {
    if (key.section == section && key.name == name) return &key;
  }
  return nullptr;
}

bool is_section(std::string_view name) {
  for (const Key& key : kKeys) {
    if (key.section == name) return true;
  }
  return false;
}

size_t key_index(const Key& key) {
  return static_cast<size_t>(&key - kKeys);
}

std::string environment_name(const Key& key) {
  if (std::string_view(key.section) == kProbeSection) return {};
  std::string name = "NODEBEAT_" + std::string(key.section) + "_" + key.name;
  for (char& c : name) c = upper(c);
  return name;
}

Field field_of(const Key& key, Config& config) {
  ProbeConfig unused;
  return key.field(config, unused);
}

Field field_of(const Key& key, const Config& config) {
  return field_of(key, const_cast<Config&>(config));
}

Config raw_defaults() {
  Config config;
  for (const Key& key : kKeys) {
    if (std::string_view(key.section) == kProbeSection || *key.fallback == '\0') continue;
    // A default that its own key refuses is found by a unit test.
    const Field field = field_of(key, config);
    (void)assign(key, value_from_text(field.type, key.fallback), field);
  }
  return config;
}

}  // namespace nb::config
