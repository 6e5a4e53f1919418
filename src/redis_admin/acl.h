// The lines of a users.acl, read. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nb::redis_admin {

struct AclLine {
  std::string user;
  std::string text;
  std::vector<std::string> hashes;  // "#…", of its passwords
  bool on = false;
  bool nopass = false;  // any password is right
};
// The lines of a users.acl, or of ACL LIST; nothing if one of them isn't a user's.
std::optional<std::vector<AclLine>> parse_acl(std::string_view text);

// Whether a user of this line may change the server's settings or its users, or do whatever else
// only an administrator may (ACL's categories @admin and @dangerous).
bool may_administer(std::string_view line);

}  // namespace nb::redis_admin
