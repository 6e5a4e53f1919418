#include "ctl/link_words.h"

#include "ctl/text.h"

namespace nb::ctl {
namespace {

struct Row {
  std::string_view cause, advice;
};

// The names are those of redis/trouble.cc; the agent says itself what they mean.
constexpr Row kAdvice[] = {
    {"unreachable",
     "see that Redis runs there and that no firewall stands between: redis-cli -u URL ping"},
    {"silent", "the host may hang or the network may drop packets: redis-cli -u URL ping"},
    {"closed", "look into the server's log"},
    {"rubbish", "another service listens at that port: correct [redis] url"},
    {"not-admitted",
     "it has too many clients, or protected mode is on: set a password, or raise maxclients"},
    {"wrong-password",
     "correct [redis] username and password_file, then systemctl reload nodebeat"},
    {"no-permission", "redis-cli ACL LOG names the command: grant it to the agent's user"},
    {"no-database", "correct the number in [redis] url"},
    {"loading", "wait: it answers once that is done"},
    {"read-only", "set [redis] url to the master"},
    {"out-of-memory", "raise its maxmemory, or delete what is not needed"},
    {"master-down", "set [redis] url to the master"},
    {"not-saving", "its disk is full or not writable: look into the server's log"},
    {"busy", "redis-cli SCRIPT KILL ends it"},
    {"cluster-down", "redis-cli cluster info says which slots are missing"},
};

}  // namespace

LinkWords link_words(Json link) {
  const std::string state = printable(link["state"].text("unknown"));
  const std::string_view place = link["target"].text();
  const std::string target = place.empty() ? "Redis" : "Redis at " + printable(place);
  if (state == "steady" || state == "replaying") {
    std::string text = "connected to " + target;
    if (const auto ping = link["ping_ms"].number()) text += ", " + latency(*ping * 1000);
    if (state == "replaying") text += "; writing what waited";
    return {text, true};
  }
  std::string text = "not connected to " + target;
  const std::string_view trouble = link["trouble"].text();
  if (!trouble.empty()) text += ": " + printable(trouble);
  if (state == "waiting") text += "; waits for the next try";
  if (state == "resolving") text += "; the host name is being looked up";
  if (state == "connecting" || state == "greeting") text += "; is being tried";
  if (state == "stopped") text += "; the link is stopped";
  return {text, false};
}

std::string_view advice_on(std::string_view cause) {
  for (const Row& row : kAdvice) {
    if (row.cause == cause) return row.advice;
  }
  return {};
}

}  // namespace nb::ctl
