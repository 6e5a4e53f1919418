#include "ctl/link_words.h"

#include <iterator>

#include "terminal/text.h"

namespace nb::ctl {
namespace {

struct Row {
  std::string_view cause, advice;
  bool ping = false;  // the advice also says how to ask the server directly
};

// The names are those of redis/trouble.cc. The agent itself reports their meaning.
constexpr Row kAdvice[] = {
    {"unresolved",
     "correct the host in [redis] url, or see why the name is not known: getent hosts"},
    {"unreachable", "see that Redis runs there and that no firewall stands between", true},
    {"silent", "the host may hang or the network may drop packets", true},
    {"closed", "look into the server's log"},
    {"rubbish", "another service listens at that port: correct [redis] url"},
    {"not-admitted",
     "it has too many clients, or protected mode is on: set a password, or raise maxclients"},
    {"wrong-password",
     "correct [redis] username and password_file, then systemctl reload nodebeat"},
    {"no-permission", "nodebeatctl redis check, as its admin, names what the agent's user may not"},
    {"no-database", "correct the number in [redis] url"},
    {"loading", "wait: it answers when that is done"},
    {"read-only", "set [redis] url to the master"},
    {"out-of-memory", "raise its maxmemory, or delete what is not needed"},
    {"master-down", "set [redis] url to the master"},
    {"not-saving", "its disk is full or not writable: look into the server's log"},
    {"busy", "redis-cli SCRIPT KILL ends it"},
    {"no-replicas",
     "start its replicas again, or lower its min-replicas-to-write: redis-cli INFO replication"},
    {"cluster-down", "redis-cli cluster info says which slots are missing"},
    {"server-error", "a proxy may have lost its server: look into the logs of both"},
    {"refused",
     "nodebeatctl redis check compares the server with what the agent needs; a cluster is the "
     "wrong "
     "server, and a key of another type has to be deleted"},
};

constexpr bool has_twins() {
  for (const Row& row : kAdvice) {
    for (const Row* other = &row + 1; other != std::end(kAdvice); ++other) {
      if (other->cause == row.cause) return true;
    }
  }
  return false;
}
static_assert(!has_twins(), "of two rows for one cause the second is never read");

// For redis-cli; `target` is a path, host:port or [host]:port.
std::string server_flags(std::string_view target) {
  if (target.empty()) return "-u URL";
  if (target.starts_with('/')) return "-s " + printable(target);
  const size_t colon = target.rfind(':');
  std::string_view host = target.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  std::string flags = "-h " + printable(host);
  if (colon != target.npos) flags += " -p " + printable(target.substr(colon + 1));
  return flags;
}

}  // namespace

LinkWords link_words(Json link) {
  const std::string state = printable(link["state"].text("unknown"));
  const std::string_view place = link["target"].text();
  const std::string target = place.empty() ? "Redis" : "Redis at " + printable(place);
  const std::string_view trouble = link["trouble"].text();
  if (state == "steady" || state == "replaying") {
    std::string text = "connected to " + target;
    if (const auto ping = link["ping_ms"].number()) text += ", " + latency(*ping * 1000);
    if (state == "replaying") text += "; writing what waited";
    // Nobody knows yet whether the server takes writes again.
    if (!trouble.empty()) text += ", after: " + printable(trouble);
    return {text, true};
  }
  // The link is connected, but Redis refuses this node's own data.
  if (state == "degraded") {
    std::string text = "degraded: connected to " + target + ", which refuses this node's data";
    if (!trouble.empty()) text += ": " + printable(trouble);
    return {text, false};
  }
  std::string text = "not connected to " + target;
  if (!trouble.empty()) text += ": " + printable(trouble);
  if (state == "waiting") text += "; waits for the next try";
  if (state == "resolving") text += "; the host name is being looked up";
  if (state == "connecting" || state == "greeting") text += "; is being tried";
  if (state == "stopped") text += "; the link is stopped";
  return {text, false};
}

std::string link_advice(Json link) {
  const std::string_view cause = link["cause"].text();
  for (const Row& row : kAdvice) {
    if (row.cause != cause) continue;
    std::string advice(row.advice);
    if (row.ping) advice += ": redis-cli " + server_flags(link["target"].text()) + " ping";
    return advice;
  }
  return {};
}

}  // namespace nb::ctl
