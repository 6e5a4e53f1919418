// Draft: a Config in the making, and what was found wrong with it so far.
#pragma once

#include <climits>
#include <string>
#include <vector>

#include "config/keys.h"
#include "config/load.h"
#include "config/value.h"

namespace nb::config {

// Where something is wrong: a line of the file, or whatever an Origin calls it.
struct Place {
  Place(std::string name) : text(std::move(name)) {}
  Place(const char* name) : text(name) {}
  Place(int line_number, std::string name) : line(line_number), text(std::move(name)) {}

  int line = INT_MAX;  // what isn't in the file comes after what is
  std::string text;
};

struct Draft {
  explicit Draft(const Sources& sources);

  // "file:line: key 'section.name': message" and the like.
  void error(const Place& where, const std::string& message);
  void key_error(const Place& where, const std::string& path, const std::string& message);
  // The same, at the place that set the key.
  void error_at(const Key& key, const std::string& message);
  void warning(const std::string& where, const std::string& message);
  // Sets a key's member, or notes why not.
  void set(const Key& key, const Value& value, Level level, const Place& from);

  Origin& origin(const Key& key) { return loaded.origins[key_index(key)]; }
  // Only for keys that exist.
  Origin& origin(std::string_view section, std::string_view name) {
    return origin(*find_key(section, name));
  }
  Place at_line(int line) const;
  // All errors as one, a line each, in the order of the file.
  Error all_errors() const;

  const Sources& sources;
  Loaded loaded;
  std::vector<Place> errors;  // with the whole message as text
  Fault fault = Fault::other;
};

// One [[probe]] table into draft.loaded.config.probes (probes.cc).
void read_probe(Draft& draft, const Value& table);

// Finds the user and the password that win, and sets redis.address and redis.db (secrets.cc).
void resolve_redis(Draft& draft);

}  // namespace nb::config
