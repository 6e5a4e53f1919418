// Draft: a Config in the making, and what was found wrong with it so far.
#pragma once

#include <string>
#include <vector>

#include "config/keys.h"
#include "config/load.h"
#include "config/value.h"

namespace nb::config {

struct Draft {
  explicit Draft(const Sources& sources);

  // "file:line: key 'section.name': message" and the like; `where` is an Origin's `from`.
  void error(const std::string& where, const std::string& message);
  void key_error(const std::string& where, const std::string& path, const std::string& message);
  // The same, at the place that set the key.
  void error_at(const Key& key, const std::string& message);
  void warning(const std::string& where, const std::string& message);
  // Sets a key's member, or notes why not.
  void set(const Key& key, const Value& value, Level level, const std::string& from);

  Origin& origin(const Key& key) { return loaded.origins[key_index(key)]; }
  // Only for keys that exist.
  Origin& origin(std::string_view section, std::string_view name) {
    return origin(*find_key(section, name));
  }
  std::string at_line(int line) const { return loaded.file + ":" + std::to_string(line); }
  // All errors as one, a line each.
  Error all_errors() const;

  const Sources& sources;
  Loaded loaded;
  std::vector<std::string> errors;
};

// One [[probe]] table into draft.loaded.config.probes (probes.cc).
void read_probe(Draft& draft, const Value& table);

// Finds the user and the password that win, and sets redis.address and redis.db (secrets.cc).
void resolve_redis(Draft& draft);

}  // namespace nb::config
