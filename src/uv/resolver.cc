#include "uv/resolver.h"

#include <netdb.h>

#include <cerrno>
#include <cstring>

namespace nb::uv {

struct Resolver::Answer {
  std::string host;
  int port;
  Result<Addresses> result = Error{};
};

Result<Addresses> look_up(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  int rc = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (rc == EAI_NONAME || rc == EAI_ADDRFAMILY) {
    // With nothing but loopback up, AI_ADDRCONFIG hides even "localhost".
    hints.ai_flags = 0;
    rc = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  }
  if (rc != 0) {
    // Only "there is no such name" is about the host. Any other error leaves it open.
    const bool answered = rc == EAI_NONAME || rc == EAI_ADDRFAMILY;
    return make_error("cannot resolve '%s': %s", host.c_str(),
                      rc == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(rc))
        .as(answered ? Fault::other : Fault::blind);
  }
  Addresses by_family[2];
  const int first_family = list->ai_family;
  for (const addrinfo* info = list; info != nullptr; info = info->ai_next) {
    if (info->ai_family != AF_INET && info->ai_family != AF_INET6) continue;
    sockaddr_storage storage{};
    std::memcpy(&storage, info->ai_addr, info->ai_addrlen);
    // The port has the same place in both families' structures (RFC 3493, section 3.3).
    reinterpret_cast<sockaddr_in&>(storage).sin_port = htons(static_cast<uint16_t>(port));
    by_family[info->ai_family == first_family ? 0 : 1].push_back(storage);
  }
  ::freeaddrinfo(list);
  Addresses addresses;
  for (size_t i = 0; i < by_family[0].size() || i < by_family[1].size(); ++i) {
    for (const Addresses& family : by_family) {
      if (i < family.size()) addresses.push_back(family[i]);
    }
  }
  if (addresses.empty()) return make_error("'%s' has no IPv4 or IPv6 address", host.c_str());
  return addresses;
}

Resolver::Resolver(Loop& loop, Delegate<void(Result<Addresses>&)> on_resolved, LookUp look_up)
    : on_resolved_(on_resolved),
      look_up_(look_up),
      call_(loop, Delegate<void()>::to<&Resolver::on_done>(this)) {}

void Resolver::start(const std::string& host, int port) {
  if (const auto numeric = parse_numeric(host, port)) {
    Result<Addresses> result = Addresses{*numeric};
    on_resolved_(result);
    return;
  }
  wanted_ = true;
  if (call_.running()) {
    if (answer_->host == host && answer_->port == port) return;
    call_.abandon();
  }
  answer_ = std::make_shared<Answer>(Answer{host, port});
  const Status started = call_.start([answer = answer_, look_up = look_up_] {
    answer->result = look_up(answer->host, answer->port);
  });
  if (!started) {
    Result<Addresses> failed = started.error();
    on_resolved_(failed);
  }
}

void Resolver::on_done() {
  if (!wanted_) return;
  Result<Addresses> result = std::move(answer_->result);
  answer_.reset();
  on_resolved_(result);
}

}  // namespace nb::uv
