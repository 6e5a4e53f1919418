// Options: the settings in the file of nodebeat-audit, checked. Passwords come from files of their
// own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "config/keys.h"
#include "config/redis_url.h"

namespace nb::audit {

struct Options {
  std::string redis_url;
  std::string redis_username;
  std::string redis_password_file;
  std::string redis_prefix;  // of the cell's keys
  Duration connect_timeout{};
  Duration command_timeout{};
  std::string conninfo;  // without a password
  std::string database_password_file;
  Duration database_connect_timeout{};
  Duration statement_timeout{};
  std::string consumer;
  uint64_t batch = 0;
  Duration takeover_after{};
  Duration backoff_cap{};
  LogLevel level{};

  // The stream of the audit in Redis.
  std::string stream() const;

  // Made of the above.
  config::RedisAddress redis;
  std::string database_password;  // empty: none
};

struct LoadedOptions {
  Options options;
  std::vector<std::string> warnings;
};

// The file, and after it those of its folder (config/files.h): a later one goes over the ones
// before.
//
// `folder`: where systemd keeps the credentials (CREDENTIALS_DIRECTORY), or empty. With any mistake
// there are no options; the error has a line for each.
Result<LoadedOptions> load_options(const std::string& file, const std::string& host_name,
                                   const std::string& folder);
Result<LoadedOptions> parse_options(std::string_view text, const std::string& file,
                                    const std::string& host_name, const std::string& folder);

// The keys of these files; config/audit.toml describes them.
std::span<const config::Key> option_keys();

// In whole milliseconds, as libpq, Redis' deadlines and poll() take it.
inline int64_t ms_of(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace nb::audit
