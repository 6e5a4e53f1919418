// The contents of the files that `nodebeatctl redis setup` writes, made from the shipped templates.
// Pure: nothing here reads or writes a file.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "redis_admin/acl.h"

namespace nb::redis_admin {

struct StoreOptions {
  std::vector<std::string> nodes;
  std::vector<std::string> binds;     // addresses beside this computer's own
  std::vector<std::string> keys;      // the keys that state.set may write; empty: cell:*
  std::vector<std::string> channels;  // the further channels of event.publish; empty: cell:*
  std::string prefix;                 // of the cell's keys and channels (redis.prefix)
  bool watch = true;                  // nodes may watch the cell
  std::string server = "redis";       // or "valkey"
  std::string maxmemory = "256mb";
  long long port = 6379;
};

// "nodebeat-hog"; of a cell with a prefix "nodebeat-cellA:hog", since the other cell may have a
// hog.
std::string user_of_node(std::string_view node, std::string_view prefix);
// The node of such a user; empty for other users.
std::string_view node_of_user(std::string_view user);
// "audit", or "audit-cellA:".
std::string user_of_audit(std::string_view prefix);
bool is_user_of_audit(std::string_view user);
// The prefix of the cell of a node's or the audit's user; empty for other users.
std::string_view prefix_of_user(std::string_view user);

// What the shipped redis.conf sets, in its order; a name may come twice.
struct Directive {
  std::string name, value;
};
std::vector<Directive> recommended_settings();

// What is wrong with a name, an address, a pattern or a size, in words. Empty: nothing is wrong.
std::string node_name_fault(std::string_view node);
std::string address_fault(const std::string& address);
std::string host_fault(const std::string& host);
std::string prefix_fault(const std::string& prefix);
std::string key_pattern_fault(std::string_view pattern);
std::string channel_pattern_fault(std::string_view pattern);
std::string size_fault(std::string_view size);

// A size as Redis reads it: "64mb" is 67108864. Nothing if it is no size, or needs more than 64
// bits.
std::optional<uint64_t> size_bytes(std::string_view size);

std::string redis_conf(const StoreOptions& options);
// The options with which a redis.conf was made: addresses, port, memory and server. In a file that
// another program wrote, the addresses are the words of its bind line as they stand: -10.0.0.2, *.
StoreOptions read_redis_conf(std::string_view text);

// Whether this word of a bind line is an address that only the server's own computer reaches.
bool is_loopback(std::string_view bound);
// The address by which other computers reach the server. Empty: there is none, or more than one.
std::string host_of_bind(std::string_view bound);

// --- users.acl -----------------------------------------------------------------------------------

// Reads which keys and channels a node's line allows beside the node's own. Sets `keys` and
// `channels` if the line tells.
void read_free_patterns(const AclLine& line, StoreOptions& options);

// The line of `user` (default, admin, viewer, or a node's or the audit's user of any cell) as the
// template has it, with these passwords.
std::string acl_line(const StoreOptions& options, std::string_view user,
                     const std::vector<std::string>& hashes);

}  // namespace nb::redis_admin
