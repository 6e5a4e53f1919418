// The rules of redis check: they make findings of a server's answers. Pure: no rule asks anything
// itself.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "terminal/findings.h"

namespace nb::redis_admin {

using terminal::Findings;

// A command that a user may not run although an agent needs it, or may run although no agent needs
// it.
struct Permission {
  std::string command = {};  // "HSET node:health:hog"
  std::string what_for = {};
  std::string words = {};  // the server's
  bool optional = false;   // if it is missing: the agent works without it
};

struct UserLook {
  std::string user = {}, node = {};
  bool exists = true;
  std::vector<Permission> missing = {}, excess = {};
  std::string unknown = {};  // why the user could not be checked, or not to the end
};

// A stream, and the highest id that it ever had.
struct StreamLook {
  std::string key, last_id;
};

struct ServerLook {
  std::string target;
  std::string user;                           // the user that asked; empty: the server does not say
  std::string info;                           // INFO's answer; empty: refused
  std::map<std::string, std::string> config;  // CONFIG GET's; empty: refused
  std::vector<std::string> acl;               // ACL LIST's; empty: refused
  std::optional<bool> anonymous;              // whether someone without a password gets in
  std::string anonymous_unknown;              // why that could not be looked at
  std::string users_unknown;                  // the same of the users
  std::string lost;                           // why the connection ended before all was asked
  std::string stranger;                       // why no answer may be used: the server is not Redis
  std::optional<double> clock_offset_ms;
  std::vector<double> ping_us;
  std::vector<StreamLook> streams;
  std::string streams_unknown;  // why not all of them were looked at
  std::vector<UserLook> users;
  bool all_users = false;  // `users` are all that an agent could log in as
  std::vector<Permission> viewer_excess;
  std::vector<Permission> audit_excess;
};

// A line of INFO: "name:value\r\n".
std::optional<std::string> info_value(std::string_view info, std::string_view name);

Findings redis_findings(const ServerLook& look);

}  // namespace nb::redis_admin
