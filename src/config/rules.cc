#include "config/rules.h"

#include "base/name.h"
#include "base/text.h"
#include "config/endpoint.h"
#include "config/redis_url.h"

namespace nb::config {
namespace {

bool has_only(std::string_view text, std::string_view others) {
  for (const char c : text) {
    if (!is_alphanumeric(c) && others.find(c) == std::string_view::npos) return false;
  }
  return true;
}

Status check_path(std::string_view path) {
  if (!path.starts_with('/')) return make_error("expected an absolute path, beginning with '/'");
  if (has_control(path)) return make_error("a path must not contain control characters");
  if (path.size() > 4095) return make_error("the path has more than 4095 bytes");
  return {};
}

Status check_socket_path(std::string_view path) {
  Status status = check_path(path);
  if (!status) return status;
  if (path.size() > kMaxUnixPath) {
    return make_error("the path of a socket may have at most %zu bytes, this one has %zu",
                      kMaxUnixPath, path.size());
  }
  if (path.ends_with('/')) return make_error("the path names a folder, not a socket");
  return {};
}

}  // namespace

Status check_name(std::string_view name) {
  constexpr const char* kAllowed =
      "allowed are 1 to 64 letters (a-z, A-Z), digits, '-', '_' and '.', the first one a letter or "
      "digit";
  if (name.empty()) return make_error("the name is empty; %s", kAllowed);
  if (name.size() > kNameBytes) {
    return make_error("the name has %zu bytes; %s", name.size(), kAllowed);
  }
  if (!is_name(name)) {
    return make_error("the name has a character that is not allowed; %s", kAllowed);
  }
  return {};
}

// No prefix begins with another one, or each cell would see the keys of the other. Nothing in it
// has a meaning in a pattern or an ACL. Braces, which make a hash tag for Redis Cluster, are around
// the whole name, so that all keys of a cell are in one slot.
Status check_prefix(std::string_view prefix) {
  std::string_view name = prefix;
  if (name.ends_with(':')) name.remove_suffix(1);
  if (name.starts_with('{') && name.ends_with('}')) name = name.substr(1, name.size() - 2);
  if (!prefix.ends_with(':') || !is_name(name)) {
    return make_error(
        "a prefix is a name and ':' (cellA:), or that name in braces ({cellA}:); a name has 1 to "
        "64 letters (a-z, A-Z), digits, '-', '_' and '.', the first one a letter or digit");
  }
  for (const std::string_view taken : {"node", "robot", "stroke", "stream", "session", "nodebeat",
                                       "error", "system", "ws", "cv"}) {
    if (name == taken && !prefix.starts_with('{')) {
      return make_error("keys and channels of a cell without a prefix begin so: choose another");
    }
  }
  return {};
}

Status check_text(Rule rule, std::string_view text) {
  if (!is_valid_utf8(text)) return make_error("the text is not UTF-8");
  if (text.find('\0') != std::string_view::npos) return make_error("the text contains a NUL");
  switch (rule) {
    case Rule::none:
      return {};
    case Rule::name:
      return check_name(text);
    case Rule::path:
      return text.empty() ? Status() : check_path(text);
    case Rule::socket_path:
      return check_socket_path(text);
    case Rule::socket_path_or_none:
      return text.empty() ? Status() : check_socket_path(text);
    case Rule::redis_url: {
      const auto address = parse_redis_url(text);
      return address ? Status() : Status(address.error());
    }
    case Rule::prefix_or_none:
      return text.empty() ? Status() : check_prefix(text);
    case Rule::group:
      if (text.size() <= 32 && has_only(text, "-_.")) return {};
      return make_error("a user or group has at most 32 letters, digits, '-', '_' and '.'");
    case Rule::interface:
      if (!text.empty() && text.size() <= 15 && is_visible(text) &&
          text.find('/') == std::string_view::npos)
        return {};
      return make_error("an interface has 1 to 15 bytes without spaces and '/'");
    case Rule::unit:
      if (text.size() <= 255 && !text.empty() && has_only(text, ":-_.\\@")) return {};
      return make_error("a unit has letters, digits and :-_.\\@ only, at most 255 bytes");
    case Rule::plain:
      if (!text.empty() && !has_control(text) && text.size() <= 4096) return {};
      return make_error("expected 1 to 4096 bytes without control characters");
    case Rule::instance:
      if (text.size() <= 128 && !has_control(text)) return {};
      return make_error("expected at most 128 bytes without control characters");
    case Rule::host:
      if (text.size() <= 255 && has_only(text, "-_.:[]")) return {};
      return make_error(
          "a Host header is a name or an address, with :port if any, at most 255 bytes");
  }
  return {};
}

}  // namespace nb::config
