// The table of all keys: the one description of a key. NB_DOC(text) is the text in reference.cc,
// and a null pointer in keys.cc: the daemon never prints the documentation, which is 8.0 KB.
#pragma once

#include <cstddef>
#include <type_traits>

#include "config/keys.h"

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

template <class T>
constexpr Field::Type type_of_choice() {
  static_assert(std::is_enum_v<T>);
  return Field::Type::choice;
}
template <class T>
constexpr Field::Type kTypeOf = type_of_choice<T>();
template <>
constexpr Field::Type kTypeOf<std::string> = Field::Type::text;
template <>
constexpr Field::Type kTypeOf<Duration> = Field::Type::duration;
template <>
constexpr Field::Type kTypeOf<bool> = Field::Type::flag;
template <>
constexpr Field::Type kTypeOf<LogLevel> = Field::Type::level;
template <>
constexpr Field::Type kTypeOf<uint32_t> = Field::Type::mode;
template <>
constexpr Field::Type kTypeOf<std::vector<std::string>> = Field::Type::list;
template <>
constexpr Field::Type kTypeOf<std::vector<Database>> = Field::Type::databases;
template <>
constexpr Field::Type kTypeOf<std::vector<StatusRange>> = Field::Type::statuses;
template <>
constexpr Field::Type kTypeOf<HttpUrl> = Field::Type::http_url;
template <>
constexpr Field::Type kTypeOf<Endpoint> = Field::Type::endpoint;

static_assert(std::is_standard_layout_v<Config> && std::is_standard_layout_v<ProbeConfig>);
#define NB_MEMBER(owner, member) .offset = offsetof(owner, member)
#define NB_CONFIG(member) .type = kTypeOf<decltype(Config::member)>, NB_MEMBER(Config, member)
#define NB_PROBE(member) \
  .type = kTypeOf<decltype(ProbeConfig::member)>, NB_MEMBER(ProbeConfig, member)
// A uint64_t may be a size or just a number.
#define NB_CONFIG_AS(kind, member) .type = Field::Type::kind, NB_MEMBER(Config, member)
#define NB_PROBE_AS(kind, member) .type = Field::Type::kind, NB_MEMBER(ProbeConfig, member)

constexpr Key kKeys[] = {
    {.section = "node",
     .name = "name",
     NB_CONFIG(node.name),
     .rule = Rule::name,
     .needs_restart = true,
     .doc = NB_DOC(
         "Name of this node, unique in the cell: part of its keys in Redis. 1 to 64 letters,\n"
         "digits, '-', '_' and '.', a letter or digit first. Default: the host name up to the\n"
         "first dot."),
     .example = "hog",
     .short_env = "NODEBEAT_NODE"},

    {.section = "log",
     .name = "level",
     NB_CONFIG(log.level),
     .fallback = "info",
     .allowed = "error|warning|notice|info|debug",
     .doc = NB_DOC("The least important lines that are still logged.")},
    {.section = "log",
     .name = "lines_per_minute",
     NB_CONFIG_AS(integer, log.lines_per_minute),
     .fallback = "20",
     .allowed = "0..1000000",
     .doc = NB_DOC(
         "How many lines of one kind about one client, probe or file are logged a minute; of one\n"
         "kind about all of them four times as many. The others are counted, and the count is\n"
         "logged. 0: every line is logged.")},

    {.section = "heartbeat",
     .name = "interval",
     NB_CONFIG(heartbeat.interval),
     .fallback = "5s",
     .allowed = "100ms..1h",
     .doc = NB_DOC("Time from one beat to the next.")},
    {.section = "heartbeat",
     .name = "ttl",
     NB_CONFIG(heartbeat.ttl),
     .fallback = "15s",
     .allowed = "1s..1d",
     .doc = NB_DOC(
         "How long a health stays in Redis after its beat. Then the node counts as gone. At\n"
         "least two intervals.")},
    {.section = "heartbeat",
     .name = "history",
     NB_CONFIG(heartbeat.history),
     .fallback = "true",
     .doc = NB_DOC("Whether each beat is also appended to the stream stream:node_metrics:<node>.")},
    {.section = "heartbeat",
     .name = "history_length",
     NB_CONFIG_AS(integer, heartbeat.history_length),
     .fallback = "5000",
     .allowed = "1..1000000",
     .doc = NB_DOC("About how many beats that stream keeps (Redis trims it in whole blocks).")},
    {.section = "heartbeat",
     .name = "forget_after",
     NB_CONFIG(heartbeat.forget_after),
     .fallback = "30d",
     .allowed = "0s..3650d",
     .doc = NB_DOC(
         "A node that has not beaten for this long is removed from the cell's list of nodes\n"
         "(nodebeat:nodes). 0s: never; nodebeatctl forget removes a node at once.")},

    {.section = "lease",
     .name = "interval",
     NB_CONFIG(lease.interval),
     .fallback = "1s",
     .allowed = "250ms..1min",
     .doc = NB_DOC(
         "Time from one renewal of this node's lease (nodebeat:lease:<node>) to the next. The\n"
         "agent that watches the cell announces a node as lost if its lease is not renewed.")},
    {.section = "lease",
     .name = "patience",
     NB_CONFIG(lease.patience),
     .fallback = "3s",
     .allowed = "1s..10min",
     .doc = NB_DOC(
         "How long the lease may stay unchanged before the watcher announces this node as lost.\n"
         "At least two intervals; three or more are better on a network that loses packets.\n"
         "\"250ms\" and \"1s\" are for a wired network.")},

    {.section = "watch",
     .name = "enabled",
     NB_CONFIG(watch.enabled),
     .needs_restart = true,
     .fallback = "true",
     .doc =
         NB_DOC("Whether this agent may watch the leases of the cell's nodes. One agent watches,\n"
                "and another one takes over when that agent dies. If all are excluded, no agent\n"
                "watches.")},

    {.section = "redis",
     .name = "url",
     NB_CONFIG(redis.url),
     .rule = Rule::redis_url,
     .fallback = "redis://127.0.0.1:6379/0",
     .doc = NB_DOC(
         "redis://[user[:password]@]host[:port][/db] or unix://[user[:password]@]/path[?db=N].\n"
         "IPv6 addresses are in brackets; user, password and path may be percent-encoded. The\n"
         "parameters db, username, password and protocol of other programs are accepted; any\n"
         "other one has no effect, or is named in a warning. There is no TLS (rediss://) yet."),
     .short_env = "NODEBEAT_REDIS"},
    {.section = "redis",
     .name = "prefix",
     NB_CONFIG(redis.prefix),
     .rule = Rule::prefix_or_none,
     .needs_restart = true,
     .doc = NB_DOC(
         "The beginning of all keys and channels of this cell in Redis, the same for all of its\n"
         "agents. With a prefix for each, several cells share a server. It is a name and ':',\n"
         "such as \"cellA:\", or the name in braces, \"{cellA}:\", which is a hash tag for Redis\n"
         "Cluster. Clients of the agent do not see the prefix; programs that use Redis directly\n"
         "have to know it.")},
    {.section = "redis",
     .name = "username",
     NB_CONFIG(redis.username),
     .doc = NB_DOC("ACL user, instead of the one in the URL. Empty: the default user.")},
    {.section = "redis",
     .name = "password",
     NB_CONFIG(redis.password),
     .secret = true,
     .doc = NB_DOC(
         "Password, instead of the one in the URL. It is better not to write it here: see\n"
         "password_file. The first of these places that has a password wins: the URL of\n"
         "--redis, the environment, the systemd credential redis-password, this file. Within\n"
         "one place, password_file wins over password, and password over url.")},
    {.section = "redis",
     .name = "password_file",
     NB_CONFIG(redis.password_file),
     .rule = Rule::path,
     .doc = NB_DOC(
         "File that holds the password only (a final newline is not part of it). It is read at\n"
         "the start and at each reload.")},
    {.section = "redis",
     .name = "connect_timeout",
     NB_CONFIG(redis.connect_timeout),
     .fallback = "2s",
     .allowed = "10ms..1min",
     .doc =
         NB_DOC("Time limit of a connect, including the look-up of the name and all addresses.")},
    {.section = "redis",
     .name = "command_timeout",
     NB_CONFIG(redis.command_timeout),
     .fallback = "1900ms",
     .allowed = "10ms..1min",
     .doc = NB_DOC("The agent drops the connection if a command is unanswered for this long.")},
    {.section = "redis",
     .name = "ping_after",
     NB_CONFIG(redis.ping_after),
     .fallback = "1s",
     .allowed = "10ms..1min",
     .doc = NB_DOC("After this long without traffic the agent sends a PING to the server.")},
    {.section = "redis",
     .name = "backoff_base",
     NB_CONFIG(redis.backoff_base),
     .fallback = "100ms",
     .allowed = "1ms..1min",
     .doc = NB_DOC("Longest pause before the first new attempt; it doubles after each failure.")},
    {.section = "redis",
     .name = "backoff_cap",
     NB_CONFIG(redis.backoff_cap),
     .fallback = "5s",
     .allowed = "1ms..1h",
     .doc = NB_DOC(
         "Longest pause between two attempts, which go on for ever. It is never longer than\n"
         "half of lease.patience: an agent that returns later would be announced as lost.")},
    {.section = "redis",
     .name = "stable_after",
     NB_CONFIG(redis.stable_after),
     .fallback = "10s",
     .allowed = "0s..1h",
     .doc =
         NB_DOC("After a link that lasted this long, the pauses begin again with backoff_base.")},
    {.section = "redis",
     .name = "max_reply",
     NB_CONFIG_AS(size, redis.max_reply),
     .fallback = "16MiB",
     .allowed = "64KiB..1GiB",
     .doc = NB_DOC("A reply that takes more memory, including its elements, ends the connection.")},
    {.section = "redis",
     .name = "max_output",
     NB_CONFIG_AS(size, redis.max_output),
     .fallback = "16MiB",
     .allowed = "64KiB..1GiB",
     .doc = NB_DOC("Largest amount of output that may wait for a slow server.")},
    {.section = "redis",
     .name = "db",
     NB_CONFIG(redis.db),
     .needs_restart = true,
     .doc = NB_DOC(
         "Databases by name, 0 to 16383. Without this table, 'health' is the URL's database.\n"
         "With this table, every name that is used has to be in it (now: health)."),
     .example = "health=0"},

    {.section = "health",
     .name = "disks",
     NB_CONFIG(health.disks),
     .rule = Rule::path,
     .fallback = "/",
     .doc = NB_DOC(
         "Mount points; the fullest is reported. A path that is not mounted has no figure.")},
    {.section = "health",
     .name = "gpu",
     NB_CONFIG(health.gpu),
     .fallback = "auto",
     .allowed = "auto|none|jetson|amd|nvidia",
     .doc = NB_DOC("Which GPU is read.")},
    {.section = "health",
     .name = "network",
     NB_CONFIG(health.network),
     .rule = Rule::interface,
     .doc = NB_DOC("Network interfaces whose rates are reported. Empty: all but lo.")},

    {.section = "socket",
     .name = "path",
     NB_CONFIG(socket.path),
     .rule = Rule::socket_path_or_none,
     .needs_restart = true,
     .fallback = "/run/nodebeat/agent.sock",
     .doc = NB_DOC("The Unix socket for local programs, at most 107 bytes long. Empty: no socket."),
     .short_env = "NODEBEAT_SOCKET"},
    {.section = "socket",
     .name = "mode",
     NB_CONFIG(socket.mode),
     .needs_restart = true,
     .fallback = "0660",
     .doc = NB_DOC("The socket's access mode, octal, in quotes.")},
    {.section = "socket",
     .name = "group",
     NB_CONFIG(socket.group),
     .rule = Rule::group,
     .needs_restart = true,
     .fallback = "nodebeat",
     .doc =
         NB_DOC("The socket's group, by name (in /etc/group) or number. Empty: the agent's own.")},
    {.section = "socket",
     .name = "allow_users",
     NB_CONFIG(socket.allow_users),
     .rule = Rule::group,
     .needs_restart = true,
     .doc = NB_DOC(
         "Users that may connect, by name (in /etc/passwd) or number, if the mode allows it,\n"
         "such as [\"robot\", \"1000\"]. If this key or allow_groups is set, others get the\n"
         "error 'forbidden'.")},
    {.section = "socket",
     .name = "allow_groups",
     NB_CONFIG(socket.allow_groups),
     .rule = Rule::group,
     .needs_restart = true,
     .doc = NB_DOC(
         "Groups whose processes may connect: the process's own group, or one of its further\n"
         "groups.")},
    {.section = "socket",
     .name = "max_clients",
     NB_CONFIG_AS(integer, socket.max_clients),
     .needs_restart = true,
     .fallback = "64",
     .allowed = "1..4096",
     .doc = NB_DOC(
         "Connections at a time. For a further one, the agent closes the connection that was\n"
         "idle for the longest time (for 5 s, without a will, subscriptions and waiting calls).\n"
         "If none is idle, the new one gets the error 'busy'. A sixteenth is kept for root.")},
    {.section = "socket",
     .name = "max_clients_per_user",
     NB_CONFIG_AS(integer, socket.max_clients_per_user),
     .needs_restart = true,
     .fallback = "0",
     .allowed = "0..4096",
     .doc = NB_DOC(
         "How many of these one user may have. 0: three quarters. In the unit's sandbox, all\n"
         "users but root count as one user (PrivateUsers=).")},
    {.section = "socket",
     .name = "max_line",
     NB_CONFIG_AS(size, socket.max_line),
     .needs_restart = true,
     .fallback = "64KiB",
     .allowed = "4KiB..1MiB",
     .doc = NB_DOC("Longest message from a client.")},
    {.section = "socket",
     .name = "max_output",
     NB_CONFIG_AS(size, socket.max_output),
     .needs_restart = true,
     .fallback = "1MiB",
     .allowed = "64KiB..64MiB",
     .doc = NB_DOC(
         "Largest amount of output that may wait for one client. Beyond a half of it, the agent\n"
         "reads no further calls of this client and drops events for it; the client is told\n"
         "how many.")},
    {.section = "socket",
     .name = "line_timeout",
     NB_CONFIG(socket.line_timeout),
     .needs_restart = true,
     .fallback = "10s",
     .allowed = "100ms..1h",
     .doc = NB_DOC(
         "A line that does not end within this time is dropped, and its client gets an error.")},
    {.section = "socket",
     .name = "rights",
     NB_CONFIG(socket.rights),
     .needs_restart = true,
     .fallback = "read,robot,state,event,session",
     .allowed = "read|robot|state|event|session",
     .doc = NB_DOC(
         "What the socket's clients may do. read: read everything and listen; robot: write the\n"
         "robot's state, its strokes and errors; state, event, session: write those.")},
    {.section = "socket",
     .name = "calls_per_second",
     NB_CONFIG_AS(integer, socket.calls_per_second),
     .needs_restart = true,
     .fallback = "5000000",
     .allowed = "0..10000000",
     .doc = NB_DOC(
         "Limit for each client; a further call is the error 'rate_limited'. A client that was\n"
         "silent may make the calls of one second at once. 0: no limit. The default is more than\n"
         "the agent can carry out.")},
    {.section = "socket",
     .name = "events_per_second",
     NB_CONFIG_AS(integer, socket.events_per_second),
     .needs_restart = true,
     .fallback = "5000000",
     .allowed = "0..10000000",
     .doc = NB_DOC("The same for calls that publish (those that need the right event).")},

    {.section = "robot",
     .name = "event_interval",
     NB_CONFIG(robot.event_interval),
     .fallback = "100ms",
     .allowed = "0s..1h",
     .doc = NB_DOC(
         "Shortest time between two state_update events; the last update is always published.\n"
         "Every update is written into the state itself.")},
    {.section = "robot",
     .name = "telemetry_interval",
     NB_CONFIG(robot.telemetry_interval),
     .fallback = "0s",
     .allowed = "0s..1h",
     .doc = NB_DOC("Shortest time between two samples of the joints in the stream\n"
                   "stream:robot_telemetry:<node>. 0s: no samples.")},
    {.section = "robot",
     .name = "telemetry_length",
     NB_CONFIG_AS(integer, robot.telemetry_length),
     .fallback = "5000",
     .allowed = "1..10000000",
     .doc = NB_DOC("About how many samples that stream keeps.")},
    {.section = "robot",
     .name = "ended_ttl",
     NB_CONFIG(robot.ended_ttl),
     .fallback = "1d",
     .allowed = "1s..365d",
     .doc =
         NB_DOC("How long the progress and the history of an ended stroke session stay in Redis.")},
    {.section = "robot",
     .name = "ended_bytes",
     NB_CONFIG_AS(size, robot.ended_bytes),
     .fallback = "256MiB",
     .allowed = "1MiB..1024GiB",
     .doc = NB_DOC(
         "About how much memory all ended stroke sessions of this node may take in Redis. Beyond\n"
         "that the oldest ones leave before ended_ttl is over, first those of the user whose\n"
         "programs hold most. A session counts at least 64 KiB.")},
    {.section = "robot",
     .name = "history_length",
     NB_CONFIG_AS(integer, robot.history_length),
     .fallback = "10000",
     .allowed = "1..10000000",
     .doc = NB_DOC("About how many entries the history of a stroke session keeps.")},
    {.section = "robot",
     .name = "events_length",
     NB_CONFIG_AS(integer, robot.events_length),
     .fallback = "5000",
     .allowed = "1..10000000",
     .doc = NB_DOC(
         "About how many events the stream stream:node_events:<node> keeps: starts and ends of\n"
         "sessions, and errors.")},
    {.section = "robot",
     .name = "events_per_hour",
     NB_CONFIG_AS(integer, robot.events_per_hour),
     .fallback = "1200",
     .allowed = "1..10000000",
     .doc = NB_DOC(
         "How many events of that stream the programs of one user may add within an hour. Further\n"
         "events go into stream:events:<node>, so that they do not push out those of others.")},
    {.section = "robot",
     .name = "sessions_per_hour",
     NB_CONFIG_AS(integer, robot.sessions_per_hour),
     .fallback = "1200",
     .allowed = "1..1000000",
     .doc =
         NB_DOC("How many stroke sessions the programs of one user may start within an hour. Each\n"
                "stays in Redis for ended_ttl. A further start gets the error 'queue_full'.")},
    {.section = "robot",
     .name = "history_bytes_per_hour",
     NB_CONFIG_AS(size, robot.history_bytes_per_hour),
     .fallback = "128MiB",
     .allowed = "64KiB..1GiB",
     .doc = NB_DOC(
         "How much the programs of one user may add within an hour to the histories of stroke\n"
         "sessions. A further update gets the error 'queue_full'.")},

    {.section = "session",
     .name = "audit_length",
     NB_CONFIG_AS(integer, session.audit_length),
     .fallback = "10000",
     .allowed = "0..10000000",
     .doc = NB_DOC(
         "About how many entries nodebeat:sessions:audit keeps: one for each write of a session.\n"
         "It keeps fewer large entries ([outbox] stream_bytes). 0: no entries are written.")},
    {.section = "session",
     .name = "audit_state",
     NB_CONFIG(session.audit_state),
     .fallback = "true",
     .doc = NB_DOC("Whether such an entry holds the state that was written.")},
    {.section = "bus",
     .name = "instance",
     NB_CONFIG(bus.instance),
     .rule = Rule::instance,
     .fallback = "",
     .doc = NB_DOC(
         "The agent's name on the bus (source_instance): at most 128 bytes, unique in the cell,\n"
         "since the agent takes messages with this name for its own and drops them. If it is\n"
         "empty, the name is the agent's instance id, which changes with each start.")},

    {.section = "outbox",
     .name = "slot_bytes",
     NB_CONFIG_AS(size, outbox.slot_bytes),
     .fallback = "4MiB",
     .allowed = "4KiB..1GiB",
     .doc = NB_DOC(
         "Memory limit of all values of state.set. Stored values are kept, to be written again\n"
         "if Redis loses them, until there is no room for newer ones. While too many values wait\n"
         "to be stored, a further one gets the error 'queue_full'.")},
    {.section = "outbox",
     .name = "client_slot_bytes",
     NB_CONFIG_AS(size, outbox.client_slot_bytes),
     .fallback = "1MiB",
     .allowed = "4KiB..1GiB",
     .doc = NB_DOC(
         "How much of that one client may use for values that wait to be stored. While Redis\n"
         "keeps up, the agent stops reading from a client that comes near this limit; otherwise\n"
         "a further value gets the error 'queue_full'. It is also the size of the largest value.")},
    {.section = "outbox",
     .name = "new_value_bytes_per_hour",
     NB_CONFIG_AS(size, outbox.new_value_bytes_per_hour),
     .fallback = "16MiB",
     .allowed = "64KiB..1GiB",
     .doc = NB_DOC(
         "How much the programs of one user may add to Redis within an hour by state.set: keys\n"
         "that the agent does not keep yet, and values larger than before. A further value gets\n"
         "the error 'queue_full'.")},
    {.section = "outbox",
     .name = "event_bytes",
     NB_CONFIG_AS(size, outbox.event_bytes),
     .fallback = "1MiB",
     .allowed = "4KiB..1GiB",
     .doc = NB_DOC(
         "Memory limit of events that wait for Redis. Beyond it, the user whose clients have most\n"
         "loses the oldest of them, and the loss is recorded.")},
    {.section = "outbox",
     .name = "urgent_bytes",
     NB_CONFIG_AS(size, outbox.urgent_bytes),
     .fallback = "512KiB",
     .allowed = "4KiB..1GiB",
     .doc = NB_DOC(
         "The same for urgent events, which go first and do not count in event_bytes: errors,\n"
         "starts and ends of stroke sessions, last wills, the robot's state, and the agent's own\n"
         "events about its node.")},
    {.section = "outbox",
     .name = "client_event_bytes",
     NB_CONFIG_AS(size, outbox.client_event_bytes),
     .fallback = "512KiB",
     .allowed = "4KiB..1GiB",
     .doc = NB_DOC(
         "How much of each of these two one client may use. While Redis keeps up, the agent\n"
         "stops reading from a client that comes near this limit; otherwise the client's own\n"
         "oldest events are dropped. It is also the size of the largest event.")},
    {.section = "outbox",
     .name = "event_age",
     NB_CONFIG(outbox.event_age),
     .fallback = "10min",
     .allowed = "1s..7d",
     .doc = NB_DOC("Events that waited longer are dropped, and the loss is recorded.")},
    {.section = "outbox",
     .name = "max_age",
     NB_CONFIG(outbox.max_age),
     .fallback = "5s",
     .allowed = "0s..7d",
     .doc = NB_DOC(
         "A message older than this is no longer published when the link returns; it stays in\n"
         "its stream.")},
    {.section = "outbox",
     .name = "stream_bytes",
     NB_CONFIG_AS(size, outbox.stream_bytes),
     .fallback = "16MiB",
     .allowed = "64KiB..1GiB",
     .doc = NB_DOC(
         "About how much memory each stream of the agent may take, except those of channels. A\n"
         "stream keeps fewer large entries than its length allows.")},
    {.section = "outbox",
     .name = "channels",
     NB_CONFIG_AS(integer, outbox.channels),
     .fallback = "128",
     .allowed = "1..4096",
     .doc = NB_DOC(
         "How many channels have a stream of their own, stream:events:<node>:<channel>, for the\n"
         "events of event.publish. One client may use a quarter of them, and the programs of one\n"
         "user three quarters. Events of further channels go into one common stream,\n"
         "stream:events:<node>.")},
    {.section = "outbox",
     .name = "channel_length",
     NB_CONFIG_AS(integer, outbox.channel_length),
     .fallback = "1000",
     .allowed = "1..10000000",
     .doc = NB_DOC("About how many events the stream of a channel keeps.")},
    {.section = "outbox",
     .name = "channel_bytes",
     NB_CONFIG_AS(size, outbox.channel_bytes),
     .fallback = "1MiB",
     .allowed = "64KiB..1GiB",
     .doc = NB_DOC("About how much memory the stream of a channel may take.")},
    {.section = "outbox",
     .name = "channel_ttl",
     NB_CONFIG(outbox.channel_ttl),
     .fallback = "1d",
     .allowed = "1min..365d",
     .doc = NB_DOC("How long the stream of a channel stays in Redis after its last event.")},

    {.section = kProbeSection,
     .name = "name",
     NB_PROBE(name),
     .rule = Rule::name,
     .doc = NB_DOC("Unique among the probes; letters as in node.name. Required."),
     .example = "vision-mcp"},
    {.section = kProbeSection,
     .name = "type",
     NB_PROBE(type),
     .allowed = "mcp|http|tcp|unix|process|systemd",
     .doc =
         NB_DOC("The kind of the probe. Required; it decides which of the keys below are allowed."),
     .example = "mcp"},
    {.section = kProbeSection,
     .name = "interval",
     NB_PROBE(interval),
     .fallback = "5s",
     .allowed = "100ms..1h",
     .doc = NB_DOC("Time from one question to the next.")},
    {.section = kProbeSection,
     .name = "timeout",
     NB_PROBE(timeout),
     .fallback = "2s",
     .allowed = "10ms..1h",
     .doc =
         NB_DOC("No answer after this long is a failure. At most the interval, which is also the\n"
                "default where it is shorter than 2s.")},
    {.section = kProbeSection,
     .name = "up_after",
     NB_PROBE_AS(integer, up_after),
     .fallback = "1",
     .allowed = "1..1000",
     .doc = NB_DOC("The probe is up after this number of successes in a row.")},
    {.section = kProbeSection,
     .name = "down_after",
     NB_PROBE_AS(integer, down_after),
     .fallback = "2",
     .allowed = "1..1000",
     .doc = NB_DOC("The probe is down after this number of failures in a row.")},
    {.section = kProbeSection,
     .name = "url",
     NB_PROBE(url),
     .probe_types = kMcp | kHttp,
     .doc = NB_DOC("mcp, http: http://host[:port]/path. Required."),
     .example = "http://127.0.0.1:8080/mcp"},
    {.section = kProbeSection,
     .name = "host",
     NB_PROBE(host),
     .rule = Rule::host,
     .probe_types = kMcp | kHttp,
     .doc =
         NB_DOC("mcp, http: the Host header, where the server requires a certain name. Empty: the\n"
                "host of the url."),
     .example = "tools.example:8080"},
    {.section = kProbeSection,
     .name = "start_timeout",
     NB_PROBE(start_timeout),
     .probe_types = kMcp,
     .fallback = "30s",
     .allowed = "10ms..1h",
     .doc = NB_DOC(
         "mcp: for this time, a server that accepts the question and has no answer yet counts as\n"
         "starting, not as down. A session without any answer for this time is opened again.")},
    {.section = kProbeSection,
     .name = "era",
     NB_PROBE(era),
     .probe_types = kMcp,
     .fallback = "auto",
     .allowed = "auto|2025|2026",
     .doc = NB_DOC(
         "mcp: the protocol: initialize (2025), server/discover (2026), or the one that the\n"
         "server understands (auto).")},
    {.section = kProbeSection,
     .name = "expect_status",
     NB_PROBE(expect_status),
     .probe_types = kHttp,
     .fallback = "200",
     .doc = NB_DOC("http: the status that means up: a number, \"2xx\", or a list of these.")},
    {.section = kProbeSection,
     .name = "expect_text",
     NB_PROBE(expect_text),
     .probe_types = kHttp,
     .doc = NB_DOC("http: a text that has to be in the body. Empty: any body.")},
    {.section = kProbeSection,
     .name = "address",
     NB_PROBE(address),
     .probe_types = kTcp,
     .doc = NB_DOC("tcp: host:port. Required."),
     .example = "127.0.0.1:5432"},
    {.section = kProbeSection,
     .name = "path",
     NB_PROBE(path),
     .rule = Rule::socket_path,
     .probe_types = kUnix,
     .doc = NB_DOC("unix: the socket's absolute path. Required."),
     .example = "/run/docker.sock"},
    {.section = kProbeSection,
     .name = "pidfile",
     NB_PROBE(pidfile),
     .rule = Rule::path,
     .probe_types = kProcess,
     .doc =
         NB_DOC("process: file with the process id, no link. Either this or command is required."),
     .example = "/run/robot.pid"},
    {.section = kProbeSection,
     .name = "command",
     NB_PROBE(command),
     .rule = Rule::plain,
     .probe_types = kProcess,
     .doc = NB_DOC("process: text that the process' command line contains."),
     .example = "robot_main --arm left"},
    {.section = kProbeSection,
     .name = "unit",
     NB_PROBE(unit),
     .rule = Rule::unit,
     .probe_types = kSystemd,
     .doc = NB_DOC("systemd: the unit; without a suffix, a service. Required."),
     .example = "redis-server.service"},
};
#undef NB_PROBE_AS
#undef NB_CONFIG_AS
#undef NB_PROBE
#undef NB_CONFIG
#undef NB_MEMBER
#undef NB_DOC

}  // namespace
}  // namespace nb::config
