#include "redis_admin/settings.h"

#include <algorithm>
#include <utility>

#include "redis_admin/store_files.h"
#include "redis_admin/words.h"
#include "terminal/text.h"

namespace nb::redis_admin {

using namespace terminal;
namespace {

// Some settings of redis.conf are not compared: they are the operator's own, or have a rule of
// their own. The unit decides about `supervised`.
bool is_compared(std::string_view name) {
  for (const char* other : {"bind", "port", "unixsocket", "dir", "logfile", "aclfile", "maxmemory",
                            "protected-mode", "appendonly", "maxmemory-policy", "supervised"}) {
    if (name == other) return false;
  }
  return true;
}

// Why redis.conf has this setting, in a few words.
std::string reason(std::string_view name) {
  constexpr std::pair<std::string_view, const char*> kReasons[] = {
      {"unixsocketperm", "only programs of its group may connect"},
      {"maxclients", "an agent has at most six connections"},
      {"tcp-keepalive", "a computer that lost its power is found after two minutes"},
      {"timeout", "a subscriber may receive nothing for days"},
      {"client-output-buffer-limit",
       "a client that does not read its answers is cut off before they take all memory"},
      {"maxmemory-clients", "answers that wait for clients count against maxmemory"},
      {"appendfsync", "at most the last second is lost with a power cut"},
      {"save", "snapshots write everything again and again, and one that fails stops all writes"},
      {"acllog-max-len", "ACL LOG tells of refused commands"},
      {"latency-monitor-threshold", "LATENCY LATEST tells of slower commands"},
  };
  for (const auto& [of, words] : kReasons) {
    if (of == name) return std::string(": ") + words;
  }
  return {};
}

// "64mb" and "67108864" are the same.
bool same_value(std::string_view one, std::string_view other) {
  const auto same_word = [](std::string_view a, std::string_view b) {
    const auto bytes = size_bytes(a);
    return a == b || (bytes && bytes == size_bytes(b));
  };
  const auto words = words_of(one);
  const auto others = words_of(other);
  return std::equal(words.begin(), words.end(), others.begin(), others.end(), same_word);
}

// The buffer limits of one class, out of those of all classes: "normal 67108864 33554432 60".
std::string limits_of(std::string_view limits, std::string_view of) {
  std::string out;
  int left = 0;
  for (const std::string_view word : words_of(limits)) {
    if (word == of) left = 4;
    if (left-- > 0) out += (out.empty() ? "" : " ") + std::string(word);
  }
  return out;
}

// The value as redis.conf writes it.
std::string shown(const std::string& value) {
  const bool bare = !value.empty() && value.find(' ') == value.npos;
  return bare ? printable(value) : '"' + printable(value) + '"';
}

}  // namespace

Findings differing_settings(const std::map<std::string, std::string>& there) {
  Findings out;
  const auto socket = there.find("unixsocket");
  for (const auto& [name, wanted] : recommended_settings()) {
    const auto at = there.find(name);
    if (at == there.end() || !is_compared(name)) continue;
    const bool of_start = name == "unixsocketperm";  // CONFIG SET cannot change it
    if (of_start && (socket == there.end() || socket->second.empty())) continue;
    const std::string value = name == "client-output-buffer-limit"
                                  ? limits_of(at->second, words_of(wanted).front())
                                  : at->second;
    if (same_value(value, wanted)) continue;
    const std::string advice =
        of_start
            ? name + ' ' + shown(wanted) + " in redis.conf, then restart it"
            : "redis-cli CONFIG SET " + name + ' ' + shown(wanted) + ", and the same in redis.conf";
    out.push_back(warning(
        "settings",
        name + " is " + shown(value) + ", recommended is " + shown(wanted) + reason(name), advice));
  }
  return out;
}

}  // namespace nb::redis_admin
