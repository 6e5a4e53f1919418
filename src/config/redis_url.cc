#include "config/redis_url.h"

#include <algorithm>
#include <optional>

#include "base/hex.h"
#include "base/text.h"
#include "config/endpoint.h"
#include "config/suggest.h"

namespace nb::config {
namespace {

constexpr const char* kGrammar =
    "write redis://[user[:password]@]host[:port][/db] or unix://[user[:password]@]/path[?db=N]";

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

Error bad_percent(const char* where) {
  return make_error(
      "a '%%' in %s has to be followed by two hexadecimal digits, and the whole is "
      "UTF-8 without NUL; write %%25 for '%%' itself",
      where);
}

Status read_credentials(std::string_view text, RedisAddress& address) {
  const size_t colon = text.find(':');
  // "h?password=a@b" has no user: the part before the '@' is a host and its parameters.
  if (text.substr(0, colon).find('?') != std::string_view::npos) {
    return make_error("after '?' write %%40 for '@', and in a user %%3F for '?'");
  }
  const auto user = percent_decoded(text.substr(0, colon));
  const auto password = colon == std::string_view::npos ? std::optional<std::string>("")
                                                        : percent_decoded(text.substr(colon + 1));
  if (!user || !password) return bad_percent("user or password");
  address.user = *user;
  address.password = *password;
  return {};
}

// --- the part behind '?' ---

enum class Use : uint8_t {
  database,
  user,
  password,
  protocol,  // 2 or 3: the agent speaks RESP2, which a server of either understands
  none,      // concerns the inside of another client only
  elsewhere,
  tls,  // whose value may be that no TLS is wanted
};

// The parameters of redis-py's, go-redis' and Lettuce's URLs.
struct Parameter {
  std::string_view name;
  Use use;
  const char* instead = "";
};
constexpr const char* kTriesForEver =
    "the agent tries again for ever, at a pace that [redis] backoff_base and backoff_cap set";
constexpr const char* kConnections = "the number of the agent's connections is fixed";
constexpr Parameter kParameters[] = {
    {"db", Use::database},
    {"database", Use::database},
    {"username", Use::user},
    {"password", Use::password},
    {"protocol", Use::protocol},
    {"decode_responses", Use::none},
    {"encoding", Use::none},
    {"encoding_errors", Use::none},
    {"socket_read_size", Use::none},
    {"socket_type", Use::none},
    {"lib_name", Use::none},
    {"lib_version", Use::none},
    {"libraryName", Use::none},
    {"libraryVersion", Use::none},
    {"client_name", Use::elsewhere, "the agent's is nodebeat:NODE, by [node] name"},
    {"clientName", Use::elsewhere, "the agent's is nodebeat:NODE, by [node] name"},
    {"socket_connect_timeout", Use::elsewhere, "set [redis] connect_timeout"},
    {"dial_timeout", Use::elsewhere, "set [redis] connect_timeout"},
    {"socket_timeout", Use::elsewhere, "set [redis] command_timeout"},
    {"timeout", Use::elsewhere, "set [redis] command_timeout"},
    {"read_timeout", Use::elsewhere, "set [redis] command_timeout"},
    {"write_timeout", Use::elsewhere, "set [redis] command_timeout"},
    {"health_check_interval", Use::elsewhere, "set [redis] ping_after"},
    {"socket_keepalive", Use::elsewhere, "a silent server is found by [redis] ping_after"},
    {"retry_on_timeout", Use::elsewhere, kTriesForEver},
    {"retry_on_error", Use::elsewhere, kTriesForEver},
    {"max_retries", Use::elsewhere, kTriesForEver},
    {"min_retry_backoff", Use::elsewhere, "set [redis] backoff_base"},
    {"max_retry_backoff", Use::elsewhere, "set [redis] backoff_cap"},
    {"max_connections", Use::elsewhere, kConnections},
    {"pool_size", Use::elsewhere, kConnections},
    {"pool_timeout", Use::elsewhere, kConnections},
    {"min_idle_conns", Use::elsewhere, kConnections},
    {"max_idle_conns", Use::elsewhere, kConnections},
    {"skip_verify", Use::tls},
    {"verifyPeer", Use::tls},
    {"startTls", Use::tls},
};

constexpr const char* kNoTls =
    "TLS is not supported yet (rediss://, ssl_*): this build would send all of it in plain text, "
    "the password too. Use redis:// in a network that you trust, or a tunnel (stunnel, WireGuard)";

// As redis-py and go-redis read it.
bool is_no(std::string value) {
  std::transform(value.begin(), value.end(), value.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  constexpr std::string_view kNo[] = {"0", "f", "false", "n", "no"};
  return std::find(std::begin(kNo), std::end(kNo), value) != std::end(kNo);
}

const Parameter* find_parameter(std::string_view name) {
  static constexpr Parameter kSsl{"ssl_", Use::tls};
  if (name == "ssl" || name.starts_with("ssl_")) return &kSsl;
  const auto* found = std::find_if(std::begin(kParameters), std::end(kParameters),
                                   [&](const Parameter& p) { return p.name == name; });
  return found == std::end(kParameters) ? nullptr : found;
}

Error unknown_parameter(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Parameter& parameter : kParameters) names.push_back(parameter.name);
  // The name itself may be a piece of a password.
  const std::string_view near = nearest(name, names);
  if (near.empty()) {
    return make_error(
        "an unknown parameter after '?'; the agent takes db, username, password and "
        "protocol there");
  }
  return make_error("an unknown parameter after '?'; did you mean '%.*s'?",
                    static_cast<int>(near.size()), near.data());
}

Status read_parameters(std::string_view query, RedisAddress& address,
                       std::vector<std::string>* remarks) {
  // As redis-py has it: a database here wins over one in the path, a user and a password before the
  // host over those here; '+' is a space.
  const bool named = !address.user.empty();
  const bool has_password = !address.password.empty();
  while (!query.empty()) {
    const std::string_view one = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(one.size() + 1, query.size()));
    const size_t equals = std::min(one.find('='), one.size());
    const Parameter* parameter = find_parameter(one.substr(0, equals));
    if (parameter == nullptr) return unknown_parameter(one.substr(0, equals));
    std::string raw(one.substr(std::min(equals + 1, one.size())));
    std::replace(raw.begin(), raw.end(), '+', ' ');
    const auto value = percent_decoded(raw);
    if (!value) return bad_percent("a value after '?'");
    switch (parameter->use) {
      case Use::database: {
        Status status = read_db(*value, address);
        if (!status) return status;
        break;
      }
      case Use::user:
        if (!named) address.user = *value;
        break;
      case Use::password:
        if (!has_password) address.password = *value;
        break;
      case Use::protocol:
        if (*value != "2" && *value != "3") {
          return make_error("the protocol is neither 2 nor 3 (the agent speaks RESP2 in any case)");
        }
        break;
      case Use::none:
        break;
      case Use::elsewhere:
        if (remarks != nullptr) {
          remarks->push_back(format("'%.*s' in the URL is not used: %s",
                                    static_cast<int>(parameter->name.size()),
                                    parameter->name.data(), parameter->instead));
        }
        break;
      case Use::tls:
        if (is_no(*value)) break;
        return make_error("%s", kNoTls);
    }
  }
  return {};
}

// --- the two kinds of address ---

Status read_tcp(std::string_view rest, RedisAddress& address) {
  const size_t slash = rest.find('/');
  const std::string_view authority = rest.substr(0, slash);
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
  auto path = percent_decoded(rest);
  if (!path) return bad_percent("the path");
  if (has_control(*path)) {
    return make_error("a path must not contain control characters");
  }
  if (path->size() > kMaxUnixPath) {
    return make_error("the path of the socket has more than %zu bytes", kMaxUnixPath);
  }
  if (path->ends_with('/')) return make_error("the path names a folder, not a socket");
  address.unix_path = std::move(*path);
  return {};
}

}  // namespace

Result<RedisAddress> parse_redis_url(std::string_view url, std::vector<std::string>* remarks) {
  if (!is_visible(url)) {
    return make_error("a URL has no spaces and no control characters; %s", kGrammar);
  }
  const size_t colon = url.find("://");
  if (colon == std::string_view::npos) return make_error("not a Redis URL; %s", kGrammar);
  const std::string_view scheme = url.substr(0, colon);
  if (scheme == "rediss") return make_error("%s", kNoTls);
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
  const size_t query = rest.find('?');
  if (!unix_socket && rest.find('#') != std::string_view::npos) {
    return make_error("a '#' has no meaning in a Redis URL; in a password write %%23");
  }
  if (query != std::string_view::npos && query + 1 == rest.size()) {
    return make_error("nothing follows the '?'");
  }
  const std::string_view place = rest.substr(0, query);
  Status status = unix_socket ? read_unix(place, address) : read_tcp(place, address);
  if (status && query != std::string_view::npos) {
    status = read_parameters(rest.substr(query + 1), address, remarks);
  }
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
    // The slashes stay unescaped, and so do characters that only a URL would misunderstand.
    for (const char c : address.unix_path) {
      const bool plain = c > ' ' && c != '%' && c != '?' && c != '#' && c != 0x7f;
      url += plain || static_cast<unsigned char>(c) >= 0x80 ? std::string(1, c)
                                                            : percent_encoded({&c, 1});
    }
    if (address.db_given) url += "?db=" + std::to_string(address.db);
    return url;
  }
  url += format_endpoint({address.host, address.port});
  if (address.db_given) url += "/" + std::to_string(address.db);
  return url;
}

}  // namespace nb::config
