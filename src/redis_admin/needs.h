// The commands of an agent in Redis, one by one. The list comes from the agent's sources, and from
// MONITOR over the integration suite. config/redis/users.acl allows these and nothing else.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nb::redis_admin {

struct Need {
  std::vector<std::string> command;
  std::string what_for;   // "beats"
  bool optional = false;  // the agent works without it
};

// MULTI and EXEC, which enclose the others, are not in the list.
std::vector<Need> needs_of(std::string_view node, std::string_view prefix);
// Commands that an agent does not need and that would harm others. They are only sent to ACL
// DRYRUN, or into a transaction that is never carried out.
std::vector<Need> excesses_of(std::string_view node, std::string_view prefix);
// The same for the user that may only read. Only for ACL DRYRUN.
std::vector<Need> excesses_of_viewer();
// The same for the user of nodebeat-audit.
std::vector<Need> excesses_of_audit(std::string_view prefix);

}  // namespace nb::redis_admin
