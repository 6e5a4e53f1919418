// What an agent does in Redis, command by command: from src/agent, src/redis, and from MONITOR over
// the integration suite. config/redis/users.acl allows this and nothing else.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nb::redis_admin {

struct Need {
  std::vector<std::string> command;
  std::string what_for;   // "beats"
  bool optional = false;  // the agent gets on without it
};

// MULTI and EXEC, which go around the others, are not among them.
std::vector<Need> needs_of(std::string_view node);
// What it has no need of, and what would harm others. Not to be sent but to ACL DRYRUN, or into a
// transaction that is never carried out.
std::vector<Need> excesses_of(std::string_view node);
// The same of the user who only looks. For ACL DRYRUN.
std::vector<Need> excesses_of_viewer();

}  // namespace nb::redis_admin
