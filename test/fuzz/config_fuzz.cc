// Fuzz target of config/: one input as a configuration file, as an environment (its lines), as a
// flag, and as each of the small texts. Beside not crashing: what is printed loads again to the
// same Config, what is formatted parses again, and what a parser accepts it accepts masked.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/text.h"
#include "config/changes.h"
#include "config/load.h"
#include "config/print.h"
#include "config/redis_url.h"
#include "config/rules.h"
#include "config/units.h"
#include "require.h"

namespace nb::config {
namespace {

using nb::fuzz::require;

// No file of this machine is read, whatever path the input names.
Result<std::optional<SecretFile>> fixed_secret(const std::string& path) {
  if (path.ends_with("none")) return std::optional<SecretFile>();
  return std::optional(SecretFile{"secret\n", path.ends_with("open")});
}

Sources from_text(std::string text) {
  Sources sources;
  sources.file = "f";
  sources.text = std::move(text);
  sources.host_name = "hog";
  sources.read_secret = fixed_secret;
  return sources;
}

void load_and_check(const Sources& sources) {
  const Result<Loaded> first = load(sources);
  if (!first) {
    require(!first.error().message.empty());
    return;
  }
  const Result<Loaded> second = load(from_text(print(*first)));
  require(second.ok());
  Config again = second->config;
  // The password comes back as "***"; where it came from a file, as itself.
  require(again.redis.password.empty() == first->config.redis.password.empty());
  again.redis.password = first->config.redis.password;
  again.redis.address.password = first->config.redis.address.password;
  again.redis.address.db_given = first->config.redis.address.db_given;
  require(again == first->config);
  require(changed_keys(again, first->config).empty());
}

void fuzz_sources(std::string_view text) {
  load_and_check(from_text(std::string(text)));

  Sources sources = from_text("");
  std::string_view rest = text;
  while (!rest.empty() && sources.environment.size() < 64) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    sources.environment.emplace_back(line.substr(0, equals), line.substr(equals + 1));
  }
  sources.environment.emplace_back("NODEBEAT_CONFIG", "");
  load_and_check(sources);

  Sources flags = from_text("");
  flags.flags.redis_url = std::string(text);
  load_and_check(flags);
}

void fuzz_texts(std::string_view text) {
  if (const auto duration = parse_duration(text)) {
    require(parse_duration(format_duration(*duration)).value() == *duration);
  }
  if (const auto size = parse_size(text)) {
    require(parse_size(format_size(*size)).value() == *size);
  }
  if (const auto address = parse_redis_url(text)) {
    const auto masked = parse_redis_url(masked_url(*address));
    require(masked.ok());
    RedisAddress same = *address;
    if (!same.password.empty()) same.password = "***";
    require(*masked == same);
  }
  if (const auto endpoint = parse_endpoint(text, true)) {
    require(parse_endpoint(format_endpoint(*endpoint), true).value() == *endpoint);
  }
  if (const auto url = parse_http_url(text)) {
    const std::string again = "http://" + format_endpoint(url->endpoint) + url->path;
    require(parse_http_url(again).value() == *url);
  }
  if (check_name(text)) require(text.size() <= 64 && is_valid_utf8(text));
  if (const auto password = password_from(text)) (void)doubt_about(*password);
}

}  // namespace
}  // namespace nb::config

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  nb::config::fuzz_sources(text);
  nb::config::fuzz_texts(text);
  return 0;
}
