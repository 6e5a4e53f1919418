// Address: where to connect to: an IPv4 or IPv6 address with port, or the path of a Unix socket.
#pragma once

#include <sys/socket.h>

#include <optional>
#include <string>

namespace nb::uv {

// A TCP end point by name or number, or, if `unix_path` is not empty, a Unix socket.
struct Target {
  std::string host;
  int port = 0;
  std::string unix_path;
};

// "127.0.0.1:6379", "[::1]:6379", "/run/redis.sock": for messages.
std::string describe(const Target& target);

// A numeric address with its port. Nothing if `host` is a name.
std::optional<sockaddr_storage> parse_numeric(const std::string& host, int port);

// "127.0.0.1:6379" or "[::1]:6379".
std::string describe(const sockaddr_storage& address);

}  // namespace nb::uv
