#include "redis_admin/rules.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "redis_admin/server_facts.h"
#include "redis_admin/settings.h"
#include "redis_admin/store_files.h"
#include "redis_admin/words.h"
#include "terminal/text.h"

namespace nb::redis_admin {

using namespace terminal;
namespace {

constexpr double kSlowPing = 50'000;  // us; a cell's network takes less than one ms
constexpr int kOldestMajor = 7;       // selectors and %R~ in users.acl

ServerFacts facts_of(const ServerLook& look) {
  const auto text = [&](const char* name) { return info_value(look.info, name).value_or(""); };
  const auto flag = [&](const char* name, std::string_view when) -> std::optional<bool> {
    const auto value = info_value(look.info, name);
    return value ? std::optional(*value == when) : std::nullopt;
  };
  const auto number = [&](const char* name) -> std::optional<double> {
    const auto value = parse_number<int64_t>(text(name));
    return value ? std::optional(static_cast<double>(*value)) : std::nullopt;
  };
  ServerFacts facts;
  facts.version = text("redis_version");
  facts.role = text("role");
  facts.user = look.user;
  facts.maxmemory_policy = text("maxmemory_policy");
  facts.maxmemory_bytes = number("maxmemory").value_or(0);
  facts.used_memory_bytes = number("used_memory");
  facts.clock_offset_ms = look.clock_offset_ms;
  facts.loading = flag("loading", "1");
  facts.aof_enabled = flag("aof_enabled", "1");
  facts.rdb_last_save_ok = flag("rdb_last_bgsave_status", "ok");
  return facts;
}

void version(const ServerLook& look, Findings& out) {
  const auto redis = info_value(look.info, "redis_version");
  const auto valkey = info_value(look.info, "valkey_version");
  if (!redis) return;
  if (valkey) out.push_back(fine("server", "Valkey " + printable(*valkey)));
  int major = 0;
  std::from_chars(redis->data(), redis->data() + redis->size(), major);
  if (major >= kOldestMajor) return;
  out.push_back(problem("redis version",
                        "version " + printable(*redis) + " does not know what users.acl says",
                        "run Redis 7.0 or later, or Valkey"));
}

bool reaches_all(std::string_view bind) {
  const auto addresses = words_of(bind);
  return addresses.empty() || std::any_of(addresses.begin(), addresses.end(), [](auto address) {
           if (address.starts_with('-')) address.remove_prefix(1);
           return address == "*" || address == "0.0.0.0" || address == "::" || address == "::*";
         });
}

bool loopback_only(std::string_view bind) {
  const auto addresses = words_of(bind);
  return !addresses.empty() && std::all_of(addresses.begin(), addresses.end(), [](auto address) {
    if (address.starts_with('-')) address.remove_prefix(1);
    return address.starts_with("127.") || address == "::1" || address == "localhost";
  });
}

// The value from CONFIG GET; null if the server refused it, or has no setting of that name.
const std::string* setting(const ServerLook& look, const char* name) {
  const auto at = look.config.find(name);
  return at == look.config.end() ? nullptr : &at->second;
}

std::vector<AclLine> acl_lines(const ServerLook& look) {
  std::vector<AclLine> out;
  for (const std::string& line : look.acl) {
    if (const auto parsed = parse_acl(line)) out.insert(out.end(), parsed->begin(), parsed->end());
  }
  return out;
}

// The users that can log in, according to ACL LIST.
void logins(const ServerLook& look, Findings& out) {
  for (const AclLine& line : acl_lines(look)) {
    const std::string check = "user " + printable(line.user);
    const std::string set_user = "redis-cli ACL SETUSER " + printable(line.user);
    if (line.on && line.nopass) {
      if (line.user == "default" && look.anonymous == true) continue;  // access() reports it
      out.push_back({Level::problem, check,
                     "needs no password: anyone who reaches the server may do what it may",
                     set_user + " resetpass '>PASSWORD', or off; and the same in users.acl"});
    } else if (line.on && line.user == "default" && !line.hashes.empty()) {
      out.push_back({Level::warning, check,
                     "is on: those who log in with its password have no name",
                     "nodebeatctl redis setup writes users; then " + set_user + " off"});
    } else if (!node_of_user(line.user).empty() && (!line.on || line.hashes.empty())) {
      out.push_back(
          {Level::problem, check,
           std::string(line.on ? "has no password" : "is off") + ": its agent cannot log in",
           "nodebeatctl redis setup --force writes its line again"});
    }
  }
  const auto excess = [&](const char* user, const char* beyond,
                          const std::vector<Permission>& permissions) {
    std::string more;
    for (const Permission& permission : permissions) {
      more += (more.empty() ? "" : ", ") + permission.what_for;
    }
    if (more.empty()) return;
    out.push_back(warning(user, std::string("may do more than ") + beyond + ": " + more,
                          "nodebeatctl redis setup --force writes its line again"));
  };
  excess("user viewer", "look", look.viewer_excess);
  excess("user audit", "move the audit", look.audit_excess);
}

void access(const ServerLook& look, Findings& out) {
  const std::string* bind = setting(look, "bind");
  const std::string* protection = setting(look, "protected-mode");
  const bool kept_inside =
      (protection != nullptr && *protection == "yes") || (bind != nullptr && loopback_only(*bind));
  const auto lines = acl_lines(look);
  const bool somebody = std::any_of(lines.begin(), lines.end(),
                                    [](const AclLine& line) { return line.on && line.nopass; });
  const char* turn_off =
      "nodebeatctl redis setup writes users; or redis-cli ACL SETUSER default off, once others "
      "have users";
  if (look.anonymous == true && kept_inside) {
    out.push_back(warning("access",
                          "the default user is on and needs no password: every program on the "
                          "server's computer may do everything",
                          turn_off));
  } else if (look.anonymous == true) {
    out.push_back(problem("access",
                          "the default user is on and needs no password: anyone who reaches it may "
                          "do everything",
                          turn_off));
  } else if (look.anonymous == false && !somebody) {
    out.push_back(fine("access", "every user needs a password"));
  } else if (!look.anonymous_unknown.empty()) {
    out.push_back(warning("access",
                          "whether someone without a password gets in could not be looked at: " +
                              printable(look.anonymous_unknown),
                          "check again"));
  }
  if (bind != nullptr && reaches_all(*bind)) {
    out.push_back(warning("addresses", "it listens on every address of its computer",
                          "name those of the cell in redis.conf: bind 127.0.0.1 10.0.0.2"));
  } else if (bind != nullptr) {
    out.push_back(fine("addresses", "it listens on " + printable(*bind)));
  }
  if (protection != nullptr && *protection != "yes") {
    out.push_back(warning("protected mode", "it is off: if the users are lost, anyone can log in",
                          "protected-mode yes in redis.conf"));
  }
}

void settings(const ServerLook& look, Findings& out) {
  if (look.config.empty() && !look.lost.empty()) return;
  if (look.config.empty()) {
    out.push_back(
        warning("settings",
                "addresses, protected mode and users were not looked at: this user may not "
                "read them, which is right for an agent's",
                "check again as the admin"));
    return;
  }
  add(out, differing_settings(look.config));
  const std::string* limit = setting(look, "maxmemory");
  if (limit != nullptr && *limit == "0") {
    out.push_back(warning("redis memory",
                          "no maxmemory: a faulty program can take all memory of the computer",
                          "redis-cli CONFIG SET maxmemory 256mb, and the same in redis.conf"));
  }
  const std::string* file = setting(look, "aclfile");
  if (file != nullptr && file->empty() && !look.users.empty()) {
    out.push_back(warning("users",
                          "there is no aclfile: users that were made by hand are gone "
                          "after a restart, unless redis.conf has them",
                          "aclfile /etc/redis/users.acl in redis.conf"));
  }
}

void latency_of_pings(const ServerLook& look, Findings& out) {
  if (look.ping_us.empty()) return;
  std::vector<double> sorted = look.ping_us;
  std::sort(sorted.begin(), sorted.end());
  const double median = sorted[sorted.size() / 2];
  const std::string text = format("%zu PINGs: median %s, longest %s", sorted.size(),
                                  latency(median).c_str(), latency(sorted.back()).c_str());
  if (median > kSlowPing) {
    out.push_back(warning("latency", text + ": slow",
                          "the network is loaded or the server is: redis-cli --latency, SLOWLOG "
                          "GET"));
  } else {
    out.push_back(fine("latency", text));
  }
}

// "db0:keys=12,expires=3,avg_ttl=0"
void keyspace(const ServerLook& look, Findings& out) {
  std::string text;
  for (std::string_view rest = look.info; !rest.empty();) {
    const std::string_view line = next_line(rest);
    const size_t keys = line.find(":keys=");
    if (!line.starts_with("db") || keys == line.npos || keys > 8) continue;
    const std::string_view count = line.substr(keys + 6);
    text += (text.empty() ? "" : ", ") + std::string(line.substr(0, keys)) + ": " +
            std::string(count.substr(0, count.find(',')));
  }
  if (!look.info.empty()) out.push_back(fine("keys", text.empty() ? "none" : printable(text)));
}

// "HSET node:health:hog (beats), …, and 12 more; it says: …", for the optional or the other
// commands.
std::string missing(const UserLook& user, bool optional) {
  constexpr size_t kMost = 6;
  std::string out;
  std::string_view words;
  size_t count = 0;
  for (const Permission& permission : user.missing) {
    if (permission.optional != optional || ++count > kMost) continue;
    out += (out.empty() ? "" : ", ") + printable(permission.command) + " (" + permission.what_for +
           ')';
    if (words.empty()) words = permission.words;
  }
  if (count > kMost) out += format(", and %zu more", count - kMost);
  if (count > 0) out += "; it says: " + printable(words);
  return out;
}

void users(const ServerLook& look, Findings& out) {
  for (const UserLook& user : look.users) {
    const std::string check = "user " + printable(user.user);
    if (!user.exists) {
      out.push_back({Level::problem, check, "there is no such user",
                     "nodebeatctl redis setup " + printable(user.node) + " adds it"});
      continue;
    }
    if (!user.unknown.empty()) {
      out.push_back({Level::warning, check, "could not be looked at: " + printable(user.unknown),
                     "check again"});
    }
    if (const std::string needed = missing(user, false); !needed.empty()) {
      out.push_back({Level::problem, check, "may not do what an agent does: " + needed,
                     "nodebeatctl redis setup --force writes its line again"});
    }
    if (const std::string wanted = missing(user, true); !wanted.empty()) {
      out.push_back({Level::warning, check, "may not do what an agent is asked to: " + wanted,
                     "allow it, unless it is not wanted"});
    }
    std::string more;
    for (const Permission& permission : user.excess) {
      more += (more.empty() ? "" : ", ") + permission.what_for;
    }
    if (!more.empty()) {
      out.push_back({Level::warning, check, "may do things that no agent needs: " + more,
                     "nodebeatctl redis setup writes users that may not"});
    } else if (user.missing.empty() && user.unknown.empty()) {
      out.push_back({Level::ok, check, "may do what an agent does, and nothing beyond it", {}});
    }
  }
  // An agent's own user cannot see other users, which settings() reports.
  if (!look.users_unknown.empty() && !look.config.empty()) {
    out.push_back(warning("users", "could not be looked at: " + printable(look.users_unknown),
                          "check again as the admin"));
  }
  if (look.users.empty() && look.all_users) {
    out.push_back(warning("users",
                          "no agent has a user of its own (nodebeat-NODE): each of them "
                          "may do all that the others may",
                          "nodebeatctl redis setup NODE... writes them"));
  }
}

// A writer can choose the id of an entry. All later ids must be higher, and after the highest
// possible id nothing can be added.
void streams(const ServerLook& look, Findings& out) {
  // The year 2286: ids are milliseconds since 1970.
  constexpr uint64_t kFarAhead = 10'000'000'000'000;
  constexpr uint64_t kNearTheEnd = UINT64_MAX - 1;
  constexpr size_t kNamed = 3;
  // An agent's own user may not ask, which settings() reports.
  if (!look.streams_unknown.empty() && !look.config.empty()) {
    out.push_back(warning("streams",
                          "not all of them were looked at: " + printable(look.streams_unknown),
                          "check again as the admin, with more time"));
  }
  for (const bool ended : {true, false}) {
    std::string names;
    size_t count = 0;
    for (const StreamLook& stream : look.streams) {
      uint64_t ms = 0;
      const char* end = stream.last_id.data() + stream.last_id.size();
      if (std::from_chars(stream.last_id.data(), end, ms).ec != std::errc()) continue;
      if (ms < kFarAhead || (ms >= kNearTheEnd) != ended) continue;
      if (++count > kNamed) continue;
      names += (names.empty() ? "" : ", ") + printable(stream.key) + " (last id " +
               printable(stream.last_id) + ")";
    }
    if (count == 0) continue;
    if (count > kNamed) names += format(", and %zu more", count - kNamed);
    const char* repair =
        "redis-cli RENAME it away: its agent begins a new one; and find out who may XADD there";
    if (ended) {
      out.push_back(problem("streams", "nothing can be added, XADD fails: " + names, repair));
    } else {
      out.push_back(warning("streams", "their ids are far ahead of the clock: " + names, repair));
    }
  }
}

}  // namespace

std::optional<std::string> info_value(std::string_view info, std::string_view name) {
  while (!info.empty()) {
    const std::string_view line = next_line(info);
    if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == ':') {
      return std::string(line.substr(name.size() + 1));
    }
  }
  return std::nullopt;
}

Findings redis_findings(const ServerLook& look) {
  Findings out;
  const ServerFacts facts = facts_of(look);
  version(look, out);
  for (Finding& finding : server_findings(facts)) {
    // Here a missing limit is a warning, which settings() reports.
    const bool unlimited = finding.check == "redis memory" && finding.level == Level::ok &&
                           setting(look, "maxmemory") != nullptr &&
                           *setting(look, "maxmemory") == "0";
    if (!unlimited) out.push_back(std::move(finding));
  }
  if (!look.lost.empty()) {
    out.push_back(warning("connection",
                          "it was lost before all was looked at: " + printable(look.lost),
                          "check again"));
  }
  settings(look, out);
  access(look, out);
  logins(look, out);
  users(look, out);
  keyspace(look, out);
  streams(look, out);
  latency_of_pings(look, out);
  add(out, clock_findings(facts));
  return out;
}

}  // namespace nb::redis_admin
