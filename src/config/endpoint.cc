#include "config/endpoint.h"

#include <arpa/inet.h>

#include "base/text.h"

namespace nb::config {
namespace {

bool is_host_name(std::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  for (const char c : host) {
    const bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!alnum && c != '-' && c != '.' && c != '_') return false;
  }
  return true;
}

bool is_ipv6(std::string_view text) {
  const size_t zone = text.find('%');
  if (zone != std::string_view::npos && !is_host_name(text.substr(zone + 1))) return false;
  const std::string address(text.substr(0, zone));
  in6_addr ignored;
  return ::inet_pton(AF_INET6, address.c_str(), &ignored) == 1;
}

}  // namespace

bool is_visible(std::string_view text) {
  if (text.empty() || !is_valid_utf8(text)) return false;
  for (const char c : text) {
    // Whether a plain char has a sign is the processor's: on Arm it has none.
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) return false;
  }
  return true;
}

Result<Endpoint> parse_endpoint(std::string_view text, bool port_required) {
  Endpoint endpoint;
  std::string_view rest;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos || !is_ipv6(text.substr(1, close - 1))) {
      return make_error("the brackets do not hold an IPv6 address");
    }
    endpoint.host = text.substr(1, close - 1);
    rest = text.substr(close + 1);
    if (!rest.empty() && rest[0] != ':') return make_error("expected ':' and a port after ']'");
  } else {
    const size_t colon = text.find(':');
    if (colon != std::string_view::npos && text.find(':', colon + 1) != std::string_view::npos) {
      return make_error("an IPv6 address needs brackets, such as [::1]:6379");
    }
    if (text.empty() || colon == 0) return make_error("the host is missing");
    if (!is_host_name(text.substr(0, colon))) {
      return make_error("the host may have letters, digits, '-', '_' and '.' only");
    }
    endpoint.host = text.substr(0, colon);
    if (colon != std::string_view::npos) rest = text.substr(colon);
  }
  if (rest.empty()) {
    if (port_required) return make_error("the port is missing: write host:port");
    return endpoint;
  }
  const auto port = parse_number<uint16_t>(rest.substr(1));
  if (!port || *port == 0) return make_error("the port is not a number from 1 to 65535");
  endpoint.port = *port;
  return endpoint;
}

Result<HttpUrl> parse_http_url(std::string_view text) {
  if (!is_visible(text)) return make_error("a URL has no spaces and no control characters");
  if (text.starts_with("https://")) {
    return make_error("TLS is not supported yet: write http://host[:port]/path");
  }
  constexpr std::string_view kScheme = "http://";
  if (!text.starts_with(kScheme)) return make_error("expected http://host[:port]/path");
  text.remove_prefix(kScheme.size());
  const size_t authority = text.find_first_of("/?#");
  if (text.substr(0, authority).find('@') != std::string_view::npos) {
    return make_error("user and password are not supported in a probe's URL");
  }
  auto endpoint = parse_endpoint(text.substr(0, authority), false);
  if (!endpoint) return endpoint.error();
  if (endpoint->port == 0) endpoint->port = 80;
  HttpUrl url{std::move(*endpoint)};
  if (authority == std::string_view::npos) return url;
  const std::string_view tail = text.substr(authority);
  if (tail.find('#') != std::string_view::npos) {
    return make_error("a fragment ('#') is never sent to a server: leave it out");
  }
  url.path = tail[0] == '/' ? "" : "/";
  url.path += tail;
  return url;
}

std::string format_endpoint(const Endpoint& endpoint) {
  const bool v6 = endpoint.host.find(':') != std::string::npos;
  std::string text = v6 ? "[" + endpoint.host + "]" : endpoint.host;
  if (endpoint.port != 0) text += ":" + std::to_string(endpoint.port);
  return text;
}

}  // namespace nb::config
