#include "redis_admin/store_files.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/glob.h"
#include "base/name.h"
#include "config/rules.h"
#include "redis_admin/templates.h"
#include "redis_admin/words.h"
#include "terminal/text.h"
#include "wire/session_script.h"
#include "wire/watch_script.h"

namespace nb::redis_admin {

using namespace terminal;
namespace {

constexpr std::string_view kUserPrefix = "nodebeat-";
constexpr std::string_view kAudit = "audit";
constexpr std::string_view kNodePlaceholder = "NODE";
constexpr std::string_view kScriptPlaceholder = "SESSION_SCRIPT";
constexpr std::string_view kWatchPlaceholder = "WATCH_SCRIPT";
// The rights of a node that may watch the cell are at the end of its line.
constexpr std::string_view kFirstOfWatch = "+evalsha|WATCH_SCRIPT";
constexpr std::string_view kFreeKeys = "~cell:*";
constexpr std::string_view kFreeChannels = "&cell:*";

void replace_all(std::string& text, std::string_view what, std::string_view by) {
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

// The usual form of an address, which can be written in many ways. Nothing if it is no address.
std::optional<std::string> usual_writing(const std::string& address) {
  unsigned char bytes[16];
  char text[INET6_ADDRSTRLEN];
  for (const int family : {AF_INET, AF_INET6}) {
    if (::inet_pton(family, address.c_str(), bytes) != 1) continue;
    if (::inet_ntop(family, bytes, text, sizeof text) != nullptr) return text;
  }
  return std::nullopt;
}

// A word of a bind line in the usual form, without the '-' that lets the server start without that
// address.
std::string plain(std::string_view bound) {
  if (bound.starts_with('-')) bound.remove_prefix(1);
  const std::string address(bound);
  return usual_writing(address).value_or(address);
}

// Whether the template has this address already.
bool is_usual_address(std::string_view bound) {
  const std::string address = plain(bound);
  return address == "127.0.0.1" || address == "::1";
}

bool is_every_address(std::string_view bound) {
  const std::string address = plain(bound);
  return address == "0.0.0.0" || address == "::" || address == "*" || address == "::*";
}

// In a users.acl a word ends at a space, and there are no quotes.
std::string word_fault(std::string_view pattern) {
  if (pattern.empty()) return "it is empty";
  for (const char c : pattern) {
    if (c <= ' ' || c > '~' || c == '"' || c == '\'' || c == '(' || c == ')') {
      return "it holds a space, a quote, a parenthesis or something that is not ASCII, which a "
             "users.acl cannot hold; write ? for it";
    }
  }
  return {};
}

// The patterns as words of a users.acl: "~a* ~b*".
std::string words(const std::vector<std::string>& patterns, const std::string& sign) {
  std::string out;
  for (const std::string& pattern : patterns) out += (out.empty() ? "" : " ") + sign + pattern;
  return out;
}

// A word of a line, within the cell if the word is a pattern of keys or channels.
std::string within(std::string_view prefix, std::string word) {
  const std::string_view text = word;
  const bool is_pattern = text.starts_with('~') || text.starts_with('&');
  if (is_pattern || text.starts_with("%R~")) word.insert(is_pattern ? 1 : 3, prefix);
  return word;
}

}  // namespace

std::string user_of_node(std::string_view node, std::string_view prefix) {
  return std::string(kUserPrefix).append(prefix).append(node);
}

std::string_view node_of_user(std::string_view user) {
  if (!user.starts_with(kUserPrefix)) return {};
  return user.substr(std::max(kUserPrefix.size(), user.rfind(':') + 1));
}

std::string user_of_audit(std::string_view prefix) {
  std::string user(kAudit);
  if (!prefix.empty()) user.append("-").append(prefix);
  return user;
}

bool is_user_of_audit(std::string_view user) {
  return user == user_of_audit(prefix_of_user(user));
}

std::string_view prefix_of_user(std::string_view user) {
  if (!user.starts_with(kUserPrefix) && !user.starts_with("audit-")) return {};
  const std::string_view rest = user.substr(user.find('-') + 1);
  return rest.substr(0, rest.rfind(':') + 1);
}

std::string prefix_fault(const std::string& prefix) {
  const Status status = prefix.empty() ? Status() : config::check_prefix(prefix);
  return status ? std::string() : status.error().message;
}

std::string node_name_fault(std::string_view node) {
  const Status status = config::check_name(node);
  return status ? std::string() : status.error().message;
}

std::string address_fault(const std::string& address) {
  unsigned char bytes[16];
  if (usual_writing(address) && is_every_address(address)) {
    return "it stands for every address of a computer: name those of the cell, such as 10.0.0.2";
  }
  const char* several = "it is no address of one computer";
  if (::inet_pton(AF_INET, address.c_str(), bytes) == 1)
    return bytes[0] != 0 && bytes[0] < 224 ? "" : several;
  if (::inet_pton(AF_INET6, address.c_str(), bytes) == 1) {
    if (bytes[0] == 0xff) return several;
    if (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) {
      return "a link-local address leads nowhere without the name of an interface: give another";
    }
    const std::string text = plain(address);
    if (text.starts_with("::ffff:")) return "it is an IPv4 address: write " + text.substr(7);
    return {};
  }
  return "it is no IP address of this computer, such as 10.0.0.2 (names may resolve to another "
         "one at the next start)";
}

std::string host_fault(const std::string& host) {
  if (usual_writing(host)) return address_fault(host);
  if (host.empty() || host.size() > 253 ||
      !std::all_of(host.begin(), host.end(), is_name_character) || !is_alphanumeric(host.front()) ||
      host.find_first_not_of("0123456789.") == host.npos) {
    return "it is no name or address of the store's computer, such as cell.local or 10.0.0.2 "
           "(--port has the port)";
  }
  return {};
}

bool is_loopback(std::string_view bound) {
  const std::string address = plain(bound);
  return address.starts_with("127.") || address == "::1" || address == "localhost";
}

std::string host_of_bind(std::string_view bound) {
  const std::string address = plain(bound);
  return is_loopback(bound) || !host_fault(address).empty() ? std::string() : address;
}

std::string key_pattern_fault(std::string_view pattern) {
  if (std::string fault = word_fault(pattern); !fault.empty()) return fault;
  for (const std::string_view prefix :
       {"node:", "robot:", "stroke:", "stream:", "session:", "nodebeat:"}) {
    if (glob_covers_prefix(pattern, prefix)) {
      return "it covers keys beginning with " + std::string(prefix) +
             ", which other programs parse; name what your own programs write, such as cell:*";
    }
  }
  return {};
}

std::string channel_pattern_fault(std::string_view pattern) {
  if (std::string fault = word_fault(pattern); !fault.empty()) return fault;
  if (glob_covers_prefix(pattern, "node:events:")) {
    return "it covers node:events:*, on which a node speaks for itself only; name what your own "
           "programs publish on, such as cell:*";
  }
  return {};
}

std::string size_fault(std::string_view size) {
  const size_t digits = std::min(size.find_first_not_of("0123456789"), size.size());
  const std::string_view unit = size.substr(digits);
  if (digits == 0 || (unit != "mb" && unit != "gb") || size.front() == '0')
    return "it is no size, such as 256mb or 2gb";
  // Redis would take the bits that remain.
  if (!size_bytes(size)) return "it is more than 64 bits can hold; write one such as 256mb or 2gb";
  return {};
}

std::optional<uint64_t> size_bytes(std::string_view size) {
  constexpr std::pair<std::string_view, uint64_t> kUnits[] = {
      {"", 1},        {"b", 1},        {"k", 1000},       {"kb", 1 << 10},
      {"m", 1000000}, {"mb", 1 << 20}, {"g", 1000000000}, {"gb", 1 << 30},
  };
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view unit(end, static_cast<size_t>(size.data() + size.size() - end));
  for (const auto& [name, bytes] : kUnits) {
    if (name == unit && number <= UINT64_MAX / bytes) return number * bytes;
  }
  return std::nullopt;
}

std::vector<Directive> recommended_settings() {
  std::vector<Directive> out;
  for (std::string_view rest = kRedisConf; !rest.empty();) {
    const std::string_view line = next_line(rest);
    const size_t space = line.find(' ');
    if (line.starts_with('#') || space == line.npos) continue;
    const std::string_view value = line.substr(space + 1);
    out.push_back(
        {std::string(line.substr(0, space)), value == "\"\"" ? std::string() : std::string(value)});
  }
  return out;
}

std::string redis_conf(const StoreOptions& options) {
  std::string out;
  for (std::string_view rest = kRedisConf; !rest.empty();) {
    const std::string_view line = next_line(rest);
    std::string text(line);
    if (line.starts_with("bind ")) {
      std::vector<std::string> named;  // Redis does not start if an address is named twice
      for (const std::string& address : options.binds) {
        if (is_usual_address(address) || is_every_address(address)) continue;
        if (std::find(named.begin(), named.end(), plain(address)) != named.end()) continue;
        named.push_back(plain(address));
        text += ' ' + address;
      }
    } else if (line.starts_with("port ")) {
      text = "port " + std::to_string(options.port);
    } else if (line.starts_with("maxmemory ")) {
      text = "maxmemory " + options.maxmemory;
    } else if (!line.starts_with('#') && options.server != "redis") {
      replace_all(text, "redis", options.server);
    }
    out += text + '\n';
  }
  return out;
}

StoreOptions read_redis_conf(std::string_view text) {
  StoreOptions out;
  out.binds = {"*"};  // Redis' own default
  for (std::string_view rest = text; !rest.empty();) {
    const auto tokens = words_of(next_line(rest));
    if (tokens.size() < 2) continue;
    if (tokens[0] == "bind") {
      out.binds.clear();
      for (size_t i = 1; i < tokens.size(); ++i) {
        if (!is_usual_address(tokens[i])) out.binds.emplace_back(tokens[i]);
      }
    } else if (tokens[0] == "port") {
      std::from_chars(tokens[1].data(), tokens[1].data() + tokens[1].size(), out.port);
    } else if (tokens[0] == "maxmemory" && size_fault(tokens[1]).empty()) {
      out.maxmemory = tokens[1];
    } else if (tokens[0] == "dir" && tokens[1].find("valkey") != std::string_view::npos) {
      out.server = "valkey";
    }
  }
  return out;
}

void read_free_patterns(const AclLine& line, StoreOptions& options) {
  const std::string_view prefix = prefix_of_user(line.user);
  const std::string own_channel = within(prefix, "&node:events:").append(node_of_user(line.user));
  std::vector<std::string> keys;
  std::vector<std::string> channels;
  bool in_keys = false;
  bool in_channels = false;
  for (std::string_view token : words_of(line.text)) {
    const bool ends_selector = token.ends_with(')');
    if (ends_selector) token.remove_suffix(1);
    if (in_keys && token.starts_with('~')) keys.emplace_back(token.substr(1 + prefix.size()));
    in_channels = in_channels && token.starts_with('&');
    if (in_channels) channels.emplace_back(token.substr(1 + prefix.size()));
    in_keys = !ends_selector && (in_keys || token == "+del");
    in_channels = in_channels || token == own_channel;
  }
  if (!keys.empty()) options.keys = std::move(keys);
  if (!channels.empty()) options.channels = std::move(channels);
}

std::string acl_line(const StoreOptions& options, std::string_view user,
                     const std::vector<std::string>& hashes) {
  const std::string_view node = node_of_user(user);
  const std::string_view prefix = prefix_of_user(user);
  const bool is_audit = is_user_of_audit(user);
  const std::string_view wanted = !node.empty() ? "nodebeat-NODE" : is_audit ? kAudit : user;
  for (std::string_view rest = kUsersAcl; !rest.empty();) {
    const std::string_view line = next_line(rest);
    const auto tokens = words_of(line);
    if (tokens.size() < 2 || tokens[1] != wanted) continue;
    std::string out;
    for (const std::string_view token : tokens) {
      if (token == kFirstOfWatch && !options.watch) {
        out.resize(out.rfind(" ("));
        break;
      }
      std::string text(token);
      const bool ends_selector = text.ends_with(')');
      if (ends_selector) text.pop_back();
      if (token == wanted) {
        text = user;
      } else if (text == kFreeKeys && !options.keys.empty()) {
        text = words(options.keys, within(prefix, "~"));
      } else if (text == kFreeChannels && !options.channels.empty()) {
        text = words(options.channels, within(prefix, "&"));
      } else {
        if (!node.empty()) {
          replace_all(text, kNodePlaceholder, node);
          replace_all(text, kScriptPlaceholder, wire::kSessionScriptSha1);
          replace_all(text, kWatchPlaceholder, wire::kWatchScriptSha1);
        }
        text = within(prefix, std::move(text));
      }
      out += (out.empty() ? "" : " ") + text + (ends_selector ? ")" : "");
      if (token != "resetpass") continue;
      for (const std::string& hash : hashes) out += ' ' + hash;
    }
    return out;
  }
  return {};
}

}  // namespace nb::redis_admin
