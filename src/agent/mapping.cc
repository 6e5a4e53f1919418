#include "agent/mapping.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "agent/accounts.h"
#include "base/file.h"
#include "ipc/activation.h"

namespace nb::agent {
namespace {

// In a user namespace (PrivateUsers= of a systemd unit) all users that are not mapped appear as the
// same user, "nobody".
bool is_somebody(uint32_t id, const std::string& map) {
  for (std::string_view rest = map; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    unsigned first = 0, outside = 0, count = 0;  // user_namespaces(7)
    const std::string line(rest.substr(0, end));
    if (std::sscanf(line.c_str(), "%u %u %u", &first, &outside, &count) == 3 && id >= first &&
        id - first < count) {
      return true;
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return map.empty();
}

std::vector<uint32_t> find_accounts(const std::vector<std::string>& names, const char* file,
                                    const char* map_file, const char* key, const Log& log) {
  std::vector<uint32_t> found;
  if (names.empty()) return found;
  const auto table = read_small_file(file, 1024 * 1024);
  const auto map = read_small_file(map_file);
  for (const std::string& name : names) {
    if (const auto id = find_account(table ? *table : std::string(), name)) {
      found.push_back(uint32_t{*id});
      if (map && !is_somebody(*id, *map)) {
        log.warning(
            "key '%s': in this sandbox '%s' cannot be told from others and is refused: the unit "
            "wants "
            "PrivateUsers=no",
            key, name.c_str());
      }
    } else {
      log.warning("key '%s': %s has no '%s'", key, file, name.c_str());
    }
  }
  // None of the named users exists, which must not let everybody in. The last number belongs to no
  // user (credentials(7) uses it for "no change").
  if (found.empty()) found.push_back(UINT32_MAX);
  return found;
}

std::optional<uint32_t> find_group(const std::string& name) {
  if (name.empty()) return std::nullopt;
  const auto groups = read_small_file("/etc/group", 1024 * 1024);
  return find_account(groups ? *groups : std::string(), name);
}

ipc::SocketOptions socket_options(const config::SocketConfig& from, const Log& log) {
  ipc::SocketOptions options;
  options.path = from.path;
  options.mode = from.mode;
  if (!from.path.empty() && !from.group.empty()) {
    options.group = find_group(from.group);
  }
  options.allow_users = find_accounts(from.allow_users, "/etc/passwd", "/proc/self/uid_map",
                                      "socket.allow_users", log);
  options.allow_groups = find_accounts(from.allow_groups, "/etc/group", "/proc/self/gid_map",
                                       "socket.allow_groups", log);
  options.max_clients = static_cast<size_t>(from.max_clients);
  options.max_clients_per_user = static_cast<size_t>(from.max_clients_per_user);
  options.rights = {};
  for (const std::string& right : from.rights) options.rights = options.rights.with(right);
  options.calls_per_second = from.calls_per_second;
  options.events_per_second = from.events_per_second;
  options.may_be_missing = from.is_view;
  return options;
}

// A further socket is for the members of its group. Without that group the agent's own group would
// have the access of the other.
ipc::SocketOptions further_options(const config::SocketConfig& from, const Log& log) {
  constexpr uint32_t kGroupBits = 0070;
  ipc::SocketOptions options = socket_options(from, log);
  if (options.group || from.group.empty()) return options;
  options.mode &= ~kGroupBits;
  log.every(from.is_view ? LogLevel::notice : LogLevel::warning,
            "there is no group '%s': only the agent's own user may use %s", from.group.c_str(),
            from.path.c_str());
  return options;
}

// As a socket unit names it for the service manager: "nodebeat-view" for ".../view.sock".
std::string descriptor_name(std::string_view path) {
  constexpr std::string_view kEnd = ".sock";
  path.remove_prefix(path.rfind('/') + 1);
  if (path.ends_with(kEnd)) path.remove_suffix(kEnd.size());
  return "nodebeat-" + std::string(path);
}

}  // namespace

redis::LinkOptions link_options(const config::Config& config) {
  const config::RedisConfig& from = config.redis;
  redis::LinkOptions options;
  options.target = {from.address.host, from.address.port, from.address.unix_path};
  options.prefix = from.prefix;
  options.greeting.user = from.address.user;
  options.greeting.password = from.address.password;
  options.greeting.client_name = "nodebeat:" + config.node.name;
  for (const config::Database& database : from.db) {
    options.greeting.databases.push_back(database.number);
  }
  options.connect_timeout = from.connect_timeout;
  options.command_timeout = from.command_timeout;
  options.ping_after = from.ping_after;
  // An agent that is back later than its lease allows is taken for lost.
  options.backoff.cap = std::min(from.backoff_cap, config.lease.patience / 2);
  options.backoff.base = std::min(from.backoff_base, options.backoff.cap);
  options.stable_after = from.stable_after;
  options.max_reply_bytes = static_cast<size_t>(from.max_reply);
  options.max_output_bytes = static_cast<size_t>(from.max_output);
  options.waits_for_beat = true;
  return options;
}

ipc::ServerOptions server_options(
    const config::Config& config,
    const std::vector<std::pair<std::string, std::string>>& environment, const Log& log) {
  ipc::ServerOptions options;
  ipc::SocketOptions& first = options;
  first = socket_options(config.socket, log);
  const std::string& group = config.socket.group;
  if (!first.path.empty() && !group.empty() && !first.group) {
    log.warning(
        "there is no group '%s' (key 'socket.group'): only the agent's own user and group may "
        "use the socket",
        group.c_str());
  }
  options.line_bytes = static_cast<size_t>(config.socket.max_line);
  options.output_bytes = static_cast<size_t>(config.socket.max_output);
  options.partial_timeout = config.socket.line_timeout;
  std::vector<std::string> names{"nodebeat"};
  for (const config::SocketConfig& from : config.more_sockets) {
    options.further.push_back(further_options(from, log));
    names.push_back(descriptor_name(from.path));
  }
  if (const auto fds = ipc::activated_fds(environment, ::getpid(), names)) {
    first.inherited_fd = (*fds)[0];
    for (size_t i = 1; i < fds->size(); ++i) options.further[i - 1].inherited_fd = (*fds)[i];
  } else {
    log.warning("the socket of the service manager is not used: %s", fds.error().message.c_str());
  }
  return options;
}

void warn_about_secrets(const config::Config& config,
                        const std::vector<config::GroupReadable>& files, const Log& log) {
  constexpr uint32_t kGroupMayConnect = 0020;
  if (files.empty() || config.socket.path.empty()) return;
  std::vector<uint32_t> groups;
  if ((config.socket.mode & kGroupMayConnect) != 0) {
    groups.push_back(find_group(config.socket.group).value_or(::getegid()));
  }
  for (const config::SocketConfig& socket : config.more_sockets) {
    const auto group =
        socket.group.empty() ? std::optional<uint32_t>(::getegid()) : find_group(socket.group);
    if (group && (socket.mode & kGroupMayConnect) != 0) groups.push_back(uint32_t{*group});
  }
  for (const config::GroupReadable& file : files) {
    if (std::find(groups.begin(), groups.end(), file.group) == groups.end()) continue;
    log.every(LogLevel::warning,
              "%s holds the password of Redis and may be read by the group of the socket, so by "
              "each of its clients: give it to the agent's user alone, with mode 0400",
              file.path.c_str());
  }
}

outbox::EventLogLimits event_limits(const config::Config& config) {
  const config::OutboxConfig& from = config.outbox;
  return {static_cast<size_t>(from.event_bytes), from.event_age,
          static_cast<size_t>(from.client_event_bytes), static_cast<size_t>(from.urgent_bytes)};
}

outbox::SlotLimits slot_limits(const config::Config& config) {
  const config::OutboxConfig& from = config.outbox;
  return {static_cast<size_t>(from.slot_bytes), static_cast<size_t>(from.client_slot_bytes)};
}

}  // namespace nb::agent
