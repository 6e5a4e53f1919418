#include "config/redis_url.h"

#include <optional>

#include "base/text.h"
#include "config/endpoint.h"

namespace nb::config {
namespace {

constexpr const char* kGrammar =
    "write redis://[user[:password]@]host[:port][/db] or unix://[user[:password]@]/path[?db=N]";

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = hex_digit(text[i + 1]);
    const int low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  if (!is_valid_utf8(out)) return std::nullopt;
  return out;
}

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += format("%%%02X", static_cast<unsigned char>(c));
    }
  }
  return out;
}

Status read_db(std::string_view text, RedisAddress& address) {
  const auto db = parse_number<int>(text);
  if (!db || *db < 0 || *db > kMaxDatabase) {
    return make_error("the database is not a number from 0 to %d", kMaxDatabase);
  }
  address.db = *db;
  address.db_given = true;
  return {};
}

Status read_credentials(std::string_view text, RedisAddress& address) {
  const size_t colon = text.find(':');
  const auto user = percent_decoded(text.substr(0, colon));
  const auto password = colon == std::string_view::npos ? std::optional<std::string>("")
                                                        : percent_decoded(text.substr(colon + 1));
  if (!user || !password) {
    return make_error(
        "a '%%' in user or password has to be followed by two hexadecimal digits, and the "
        "whole is UTF-8 without NUL; write %%25 for '%%' itself");
  }
  address.user = *user;
  address.password = *password;
  return {};
}

Status read_tcp(std::string_view rest, RedisAddress& address) {
  const size_t slash = rest.find('/');
  const std::string_view authority = rest.substr(0, slash);
  if (authority.find_first_of("?#") != std::string_view::npos) {
    return make_error("options after '?' or '#' are not supported");
  }
  auto endpoint = parse_endpoint(authority, false);
  if (!endpoint) {
    return make_error("%s (in a password write %%2F for '/')", endpoint.error().message.c_str());
  }
  address.host = std::move(endpoint->host);
  address.port = endpoint->port == 0 ? uint16_t{6379} : endpoint->port;
  if (slash == std::string_view::npos || slash + 1 == rest.size()) return {};
  return read_db(rest.substr(slash + 1), address);
}

Status read_unix(std::string_view rest, RedisAddress& address) {
  if (!rest.starts_with('/')) {
    return make_error("the path of the socket has to be absolute: unix:///run/redis/redis.sock");
  }
  const size_t query = rest.find('?');
  address.unix_path = rest.substr(0, query);
  if (address.unix_path.size() > kMaxUnixPath) {
    return make_error("the path of the socket has more than %zu bytes", kMaxUnixPath);
  }
  if (address.unix_path.ends_with('/')) return make_error("the path names a folder, not a socket");
  if (query == std::string_view::npos) return {};
  constexpr std::string_view kDb = "db=";
  const std::string_view option = rest.substr(query + 1);
  if (!option.starts_with(kDb)) return make_error("the only option after the path is ?db=N");
  return read_db(option.substr(kDb.size()), address);
}

}  // namespace

Result<RedisAddress> parse_redis_url(std::string_view url) {
  if (!is_visible(url)) {
    return make_error("a URL has no spaces and no control characters; %s", kGrammar);
  }
  const size_t colon = url.find("://");
  if (colon == std::string_view::npos) return make_error("not a Redis URL; %s", kGrammar);
  const std::string_view scheme = url.substr(0, colon);
  if (scheme == "rediss") {
    return make_error("TLS is not supported yet (rediss://); %s", kGrammar);
  }
  const bool unix_socket = scheme == "unix";
  if (!unix_socket && scheme != "redis") {
    return make_error("the scheme is neither redis:// nor unix://; %s", kGrammar);
  }
  std::string_view rest = url.substr(colon + 3);
  RedisAddress address;
  // The last '@' before the path: neither a host nor the end of the authority can hold one.
  const size_t at = rest.substr(0, rest.find('/')).rfind('@');
  if (at != std::string_view::npos) {
    const Status status = read_credentials(rest.substr(0, at), address);
    if (!status) return status.error();
    rest.remove_prefix(at + 1);
  }
  const Status status = unix_socket ? read_unix(rest, address) : read_tcp(rest, address);
  if (!status) return status.error();
  return address;
}

std::string masked_url(const RedisAddress& address) {
  std::string url = address.is_unix() ? "unix://" : "redis://";
  if (!address.user.empty() || !address.password.empty()) {
    url += percent_encoded(address.user);
    if (!address.password.empty()) url += ":***";
    url += '@';
  }
  if (address.is_unix()) {
    url += address.unix_path;
    if (address.db_given) url += "?db=" + std::to_string(address.db);
    return url;
  }
  url += format_endpoint({address.host, address.port});
  if (address.db_given) url += "/" + std::to_string(address.db);
  return url;
}

}  // namespace nb::config
