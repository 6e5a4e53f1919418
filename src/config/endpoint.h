// Where a TCP service listens: "host:port" and plain http:// URLs. Pure parsers; no name is looked
// up. Errors say what would be right and never repeat the text, which may hold a secret.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nb::config {

struct Endpoint {
  std::string host;   // a name, an IPv4 address, or an IPv6 address without its brackets
  uint16_t port = 0;  // 0: none was written (only where the parser says so)

  bool operator==(const Endpoint&) const = default;
};

struct HttpUrl {
  Endpoint endpoint;
  std::string path = "/";  // with the query, if any

  bool operator==(const HttpUrl&) const = default;
};

// "host[:port]" or "[v6address][:port]"; a zone ("%eth0") is allowed inside the brackets.
Result<Endpoint> parse_endpoint(std::string_view text, bool port_required);
// "http://host[:port][/path][?query]", port 80 by default.
Result<HttpUrl> parse_http_url(std::string_view text);

// "host:port", with brackets where the host needs them; the port is left out when it is 0.
std::string format_endpoint(const Endpoint& endpoint);

// True if `text` is not empty and is visible UTF-8: no space, no control character.
bool is_visible(std::string_view text);

// The largest path that fits into sockaddr_un with its final NUL.
inline constexpr size_t kMaxUnixPath = 107;

}  // namespace nb::config
