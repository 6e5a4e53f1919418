#include "http/origin.h"

#include <algorithm>

namespace nb::http {
namespace {

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

// The name in "name", "name:port", "[address]" or "[address]:port"; empty if it is none of these.
std::string_view name_in(std::string_view host) {
  std::string_view name = host;
  if (host.starts_with('[')) {
    const size_t end = host.find(']');
    if (end == std::string_view::npos) return {};
    name = host.substr(1, end - 1);
    host.remove_prefix(end + 1);
  } else {
    name = host.substr(0, host.find(':'));
    host.remove_prefix(name.size());
  }
  return host.empty() || (host[0] == ':' && is_port(host.substr(1))) ? name : std::string_view();
}

}  // namespace

Origins::Origins(std::vector<std::string> names) : names_(std::move(names)) {
  for (const char* name : {"localhost", "127.0.0.1", "::1"}) names_.push_back(name);
}

bool Origins::is_our_host(std::string_view host) const {
  const std::string_view name = name_in(host);
  return !name.empty() && std::any_of(names_.begin(), names_.end(), [&](const std::string& ours) {
    return same_word(name, ours);
  });
}

bool Origins::is_our_origin(std::string_view origin) const {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (same_word(origin.substr(0, scheme.size()), scheme)) {
      return is_our_host(origin.substr(scheme.size()));
    }
  }
  return false;
}

Response check(const Request& request, const Origins& origins, bool needs_host) {
  for (const auto& [name, value] : request.headers) {
    // A reader that stops at the first NUL sees another value.
    if (name.find('\0') == name.npos && value.find('\0') == value.npos) continue;
    return {.status = 400, .body = "a header must not hold a NUL\n"};
  }
  if (needs_host && request.count("Host") != 1) {
    return {.status = 400, .body = "expected one header Host\n"};
  }
  if (needs_host && !origins.is_our_host(request.header("Host"))) {
    return {.status = 403,
            .body =
                "this is not a host of this name: use localhost, or allow the name with "
                "--http-host\n"};
  }
  const size_t origins_sent = request.count("Origin");
  if (origins_sent > 1 || (origins_sent == 1 && !origins.is_our_origin(request.header("Origin")))) {
    return {.status = 403, .body = "pages of other origins may not ask here\n"};
  }
  // Which of them ends a body, a proxy before this server may see in another way.
  if (request.count("Content-Length") > 1 ||
      (request.count("Content-Length") == 1 && request.count("Transfer-Encoding") > 0)) {
    return {.status = 400, .body = "expected one header that tells the size of the body\n"};
  }
  return {.status = 0, .body = {}};
}

}  // namespace nb::http
