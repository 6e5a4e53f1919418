// Redis URLs:
//   redis://[user[:password]@]host[:port][/db]
//   unix://[user[:password]@]/path/to.sock[?db=N]
// An IPv6 address stands in brackets; user and password may be percent-encoded. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nb::config {

inline constexpr int kMaxDatabase = 16383;

// Where a Redis is and as whom to speak to it. Either `unix_path` or `host` and `port` are set.
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
// is malformed, any part may be a piece of the password.
Result<RedisAddress> parse_redis_url(std::string_view url);

// The URL again, with "***" in the password's place: fit for a log or a terminal.
std::string masked_url(const RedisAddress& address);

}  // namespace nb::config
