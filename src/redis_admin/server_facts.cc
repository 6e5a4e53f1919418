#include "redis_admin/server_facts.h"

#include <cmath>

#include "terminal/text.h"

namespace nb::redis_admin {

using namespace terminal;
namespace {

constexpr double kNearlyFull = 0.8;
constexpr double kClockWarning = 250;   // ms
constexpr double kClockProblem = 5000;  // of a beat that lives 15 s

void eviction(const ServerFacts& facts, Findings& out) {
  const std::string policy = printable(facts.maxmemory_policy);
  const double limit = facts.maxmemory_bytes;
  if (policy.empty()) return;
  const char* set_policy =
      "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf";
  if (policy.starts_with("allkeys-")) {
    if (limit > 0) {
      out.push_back(problem(
          "redis eviction",
          "policy " + policy + " deletes any key once memory is full, state included", set_policy));
    } else {
      out.push_back(warning("redis eviction",
                            "policy " + policy + " would delete state, were a maxmemory set",
                            set_policy));
    }
  } else if (policy.starts_with("volatile-") && limit > 0) {
    out.push_back(warning("redis eviction",
                          "policy " + policy +
                              " may delete what has a time to live before its time, "
                              "health included",
                          set_policy));
  } else {
    out.push_back(fine("redis eviction", "policy " + policy + ", nothing is dropped"));
  }
}

void memory(const ServerFacts& facts, Findings& out) {
  const double limit = facts.maxmemory_bytes;
  const auto used = facts.used_memory_bytes;
  if (!used) return;
  if (limit <= 0) {
    out.push_back(fine("redis memory", size_text(*used) + ", no maxmemory set"));
    return;
  }
  const std::string text = format("%s of %s (%.0f %%)", size_text(*used).c_str(),
                                  size_text(limit).c_str(), *used / limit * 100);
  const char* advice = "raise maxmemory, or delete what is not needed: redis-cli --bigkeys";
  if (*used >= limit) {
    out.push_back(problem("redis memory", text + ": full", advice));
  } else if (*used >= kNearlyFull * limit) {
    out.push_back(warning("redis memory", text + ": nearly full", advice));
  } else {
    out.push_back(fine("redis memory", text));
  }
}

void access(const ServerFacts& facts, Findings& out) {
  const auto protection = facts.protected_mode;
  const auto password = facts.has_password;
  if (!protection && !password) return;
  if (password == true) {
    out.push_back(fine("redis access", "a password is set"));
  } else if (password == false && protection == false) {
    out.push_back(problem(
        "redis access",
        "protected mode is off and there is no password: anyone who reaches it may do everything",
        "set requirepass or an ACL in redis.conf, and [redis] password_file here"));
  } else if (password == false) {
    out.push_back(
        fine("redis access", "no password, but protected mode allows only this computer"));
  }
}

void persistence(const ServerFacts& facts, Findings& out) {
  const auto aof = facts.aof_enabled;
  const auto saved = facts.rdb_last_save_ok;
  if (saved == false) {
    out.push_back(problem("redis persistence", "the last save to disk failed",
                          "its disk is full or not writable: look into the server's log"));
  } else if (aof == true) {
    out.push_back(fine("redis persistence", "append-only file is on"));
  } else if (aof == false) {
    out.push_back(
        warning("redis persistence",
                "the append-only file is off: what was set since the last save is lost with "
                "a power cut (the agents write their own part again)",
                "redis-cli CONFIG SET appendonly yes, and the same in redis.conf"));
  }
}

}  // namespace

Findings server_findings(const ServerFacts& facts) {
  Findings out;
  if (facts.loading == true) {
    out.push_back(problem("redis", "it is loading its data", "wait: it answers when that is done"));
  }
  const std::string version = printable(facts.version);
  const std::string role = printable(facts.role);
  if (!role.empty() && role != "master") {
    out.push_back(problem("redis", "version " + version + ", a " + role + ": it takes no writes",
                          "set [redis] url to the master"));
  } else if (!version.empty()) {
    const std::string user = printable(facts.user);
    out.push_back(fine("redis", "version " + version + (user.empty() ? "" : ", as user " + user)));
  } else {
    out.push_back(warning("redis", "it does not say what it is: this user may not run INFO",
                          "grant it: redis-cli ACL SETUSER ... +info +config|get"));
  }
  eviction(facts, out);
  memory(facts, out);
  access(facts, out);
  persistence(facts, out);
  return out;
}

Findings clock_findings(const ServerFacts& facts) {
  const auto offset = facts.clock_offset_ms;
  if (!offset) return {};
  const double off = std::abs(*offset);
  const std::string text = "Redis' clock is " + human_duration(std::llround(off)) +
                           (*offset > 0 ? " ahead of" : " behind") + " this node's";
  const char* advice = "run a time service on both: timedatectl set-ntp true";
  if (off >= kClockProblem) return {problem("clock", text, advice)};
  if (off >= kClockWarning) return {warning("clock", text, advice)};
  return {fine("clock", format("within %.0f ms of Redis'", std::max(std::ceil(off), 1.0)))};
}

}  // namespace nb::redis_admin
