// The socket that a server listens on.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace nb::http {

struct Address {
  std::string host;  // "127.0.0.1", "::1"
  int port = 0;      // 0: the system chooses one

  bool is_loopback() const;
};

// "127.0.0.1:9809", "[::1]:9809" or "localhost:9809", which is 127.0.0.1. Other names are refused:
// nothing here waits for a resolver.
Result<Address> parse_address(const std::string& text);

// A socket that listens, non-blocking.
Result<UniqueFd> listen_on(const Address& address);

// "http://127.0.0.1:9809/" of a socket that listens.
std::string url_of(int listening_fd);

}  // namespace nb::http
