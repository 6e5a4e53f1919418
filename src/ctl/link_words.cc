#include "ctl/link_words.h"

#include "ctl/text.h"

namespace nb::ctl {
namespace {

struct Row {
  std::string_view name, words, advice;
};

// The names are those of redis/trouble.cc; what the agent may say beyond them is shown as it is.
constexpr Row kTroubles[] = {
    {"unreachable", "not reachable",
     "see that Redis runs there and that no firewall stands between: redis-cli -u URL ping"},
    {"silent", "the server does not answer",
     "the host may hang or the network may drop packets: redis-cli -u URL ping"},
    {"closed", "the connection was closed", "look into the server's log"},
    {"rubbish", "what it sends is not the Redis protocol",
     "another service listens at that port: correct [redis] url"},
    {"not-admitted", "the server does not let this client in",
     "it has too many clients, or protected mode is on: set a password, or raise maxclients"},
    {"wrong-password", "the server does not accept the user or password",
     "correct [redis] username and password_file, then systemctl reload nodebeat"},
    {"no-permission", "the user lacks a permission",
     "redis-cli ACL LOG names the command: grant it to the agent's user"},
    {"no-database", "the server has no such database", "correct the number in [redis] url"},
    {"loading", "the server is loading its data", "wait: it answers once that is done"},
    {"read-only", "the server is a read-only replica", "set [redis] url to the master"},
    {"out-of-memory", "the server is out of memory",
     "raise its maxmemory, or delete what is not needed"},
    {"master-down", "the server is a replica without its master", "set [redis] url to the master"},
    {"not-saving", "the server cannot save and takes no writes",
     "its disk is full or not writable: look into the server's log"},
    {"busy", "the server is busy with a script", "redis-cli SCRIPT KILL ends it"},
    {"cluster-down", "the cluster is down", "redis-cli cluster info says which slots are missing"},
};

const Row* find(std::string_view name) {
  for (const Row& row : kTroubles) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

}  // namespace

LinkWords link_words(Json link) {
  const std::string state = printable(link["state"].text("unknown"));
  const std::string target = printable(link["target"].text("Redis"));
  if (state == "steady" || state == "replaying") {
    std::string text = "connected to " + target;
    if (const auto ping = link["ping_ms"].number()) text += ", " + latency(*ping * 1000);
    if (state == "replaying") text += "; writing what waited";
    return {text, true};
  }
  std::string text = "not connected to " + target;
  const std::string_view trouble = link["trouble"].text();
  if (!trouble.empty() && trouble != "none") {
    const Row* row = find(trouble);
    text += ": " + (row != nullptr ? std::string(row->words) : printable(trouble));
  }
  if (state == "waiting") text += "; waits for the next try";
  if (state == "resolving") text += "; the host name is being looked up";
  if (state == "connecting" || state == "greeting") text += "; is being tried";
  if (state == "stopped") text += "; the link is stopped";
  return {text, false};
}

std::string trouble_advice(std::string_view trouble) {
  const Row* row = find(trouble);
  return row != nullptr ? std::string(row->advice) : std::string();
}

}  // namespace nb::ctl
