// Redis URLs:
//      redis://[user[:password]@]host[:port][/db][?parameter=value&...]
//      unix://[user[:password]@]/path/to.sock[?parameter=value&...] An IPv6 address is in brackets;
//      user, password, path and values may be percent-encoded. The agent and nodebeatctl use this
//      parser. Pure.
//
// Parameters are those of other programs' URLs for the same Redis. db, username, password and
// protocol are accepted. A parameter for the inside of another client has no effect. A parameter
// for which the agent has a key of its own is named in a remark. TLS is an error, unless the value
// says that none is wanted, and so is an unknown parameter.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace nb::config {

inline constexpr int kMaxDatabase = 16383;

// The address of a Redis and its user. Either `unix_path` or `host` and `port` are set.
struct RedisAddress {
  std::string host;
  uint16_t port = 0;
  std::string unix_path;
  std::string user;      // empty: the server's default user
  std::string password;  // empty: none
  int db = 0;
  bool db_given = false;  // the URL names a database, be it 0

  bool is_unix() const { return !unix_path.empty(); }
  bool operator==(const RedisAddress&) const = default;
};

// Errors name what is wrong and what would be right. They repeat nothing of the URL: where it
// is malformed, any part may be a piece of the password. `remarks`, if given, gets a line for each
// parameter that is not used and has something in its place here.
Result<RedisAddress> parse_redis_url(std::string_view url,
                                     std::vector<std::string>* remarks = nullptr);

// The URL again, with "***" in the password's place: fit for a log or a terminal.
std::string masked_url(const RedisAddress& address);

}  // namespace nb::config
