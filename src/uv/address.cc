#include "uv/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <uv.h>

#include <cstring>

#include "base/text.h"

namespace nb::uv {

std::string describe(const Target& target) {
  if (!target.unix_path.empty()) return target.unix_path;
  const bool bracket = target.host.find(':') != std::string::npos;
  return format(bracket ? "[%s]:%d" : "%s:%d", target.host.c_str(), target.port);
}

std::optional<sockaddr_storage> parse_numeric(const std::string& host, int port) {
  sockaddr_storage storage{};
  if (uv_ip4_addr(host.c_str(), port, reinterpret_cast<sockaddr_in*>(&storage)) == 0 ||
      uv_ip6_addr(host.c_str(), port, reinterpret_cast<sockaddr_in6*>(&storage)) == 0) {
    return storage;
  }
  return std::nullopt;
}

std::string describe(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "?";
  if (address.ss_family == AF_INET6) {
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(address);
    uv_ip6_name(&in6, text, sizeof text);
    return format("[%s]:%d", text, ntohs(in6.sin6_port));
  }
  const auto& in = reinterpret_cast<const sockaddr_in&>(address);
  uv_ip4_name(&in, text, sizeof text);
  return format("%s:%d", text, ntohs(in.sin_port));
}

}  // namespace nb::uv
