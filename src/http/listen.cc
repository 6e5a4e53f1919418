#include "http/listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/text.h"
#include "uv/address.h"

namespace nb::http {
namespace {

constexpr int kBacklog = 128;

socklen_t size_of(const sockaddr_storage& address) {
  return address.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

Error failed(const Address& address, const char* what) {
  return make_error("cannot %s %s: %s", what,
                    uv::describe({address.host, address.port, {}}).c_str(), std::strerror(errno));
}

}  // namespace

bool Address::is_loopback() const {
  const auto numeric = uv::parse_numeric(host, port);
  if (!numeric) return false;
  if (numeric->ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(*numeric);
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
  }
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(*numeric);
  return (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
}

Result<Address> parse_address(const std::string& text) {
  const size_t colon = text.rfind(':');
  const auto port =
      colon == std::string::npos ? std::nullopt : parse_number<uint16_t>(text.substr(colon + 1));
  if (!port) return make_error("expected ADDRESS:PORT, found '%s'", text.c_str());
  Address address{text.substr(0, colon), *port};
  if (address.host == "localhost") address.host = "127.0.0.1";
  const bool in_brackets = address.host.starts_with('[') && address.host.ends_with(']');
  if (in_brackets) address.host = address.host.substr(1, address.host.size() - 2);
  const bool is_v6 = address.host.find(':') != std::string::npos;
  if (is_v6 != in_brackets || !uv::parse_numeric(address.host, address.port)) {
    return make_error("expected an address like 127.0.0.1:%d or [::1]:%d, found '%s'", address.port,
                      address.port, text.c_str());
  }
  return address;
}

Result<UniqueFd> listen_on(const Address& address) {
  const auto numeric = uv::parse_numeric(address.host, address.port);
  if (!numeric) return make_error("'%s' is no address", address.host.c_str());
  UniqueFd fd(::socket(numeric->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return failed(address, "make a socket for");
  const int on = 1;
  // After a restart connections of the server before may still wait for their end.
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*numeric), size_of(*numeric)) != 0 ||
      ::listen(fd.get(), kBacklog) != 0) {
    return failed(address, "listen on");
  }
  return fd;
}

std::string url_of(int listening_fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(listening_fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return "http://" + uv::describe(address) + "/";
}

}  // namespace nb::http
