// Reads the lines of a users.acl. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nb::redis_admin {

struct AclLine {
  std::string user;
  std::string text;
  std::vector<std::string> hashes;  // "#…", one for each password
  bool on = false;
  bool nopass = false;  // any password is right
};
// The lines of a users.acl, or of ACL LIST. Nothing if one of them does not describe a user.
std::optional<std::vector<AclLine>> parse_acl(std::string_view text);

// Whether the user of this line may change the server's settings or its users, or do anything else
// that only an administrator may (the categories @admin and @dangerous).
bool may_administer(std::string_view line);

}  // namespace nb::redis_admin
