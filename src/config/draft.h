// Draft: a Config in the making, and the mistakes that were found so far.
#pragma once

#include <climits>
#include <string>
#include <vector>

#include "config/keys.h"
#include "config/load.h"
#include "config/value.h"

namespace nb::config {

// The place of a value: a line of the file, or the name of another origin. Every key has one, so
// the place is put into words only where a message needs it.
struct Place {
  Place(const std::string& place_name) : name(place_name) {}
  Place(const char* place_name) : name(place_name) {}
  explicit Place(int line_number) : line(line_number) {}

  int line = INT_MAX;  // mistakes that are not in the file come after the others
  std::string_view name;
};

struct Finding {
  int place;         // by which findings are sorted: the file and the line
  std::string text;  // "file:line: message"
};

struct Draft {
  explicit Draft(const Sources& sources);

  // From now on a line is one of `name`.
  void begin_file(const std::string& name);
  bool is_of_this_file(const std::string& origin) const { return origin.starts_with(file_ + ":"); }

  // "file:line: key 'section.name': message" and the like. The message is printf-style: it has many
  // pieces, and a chain of `+` is several times the code of one call.
  [[gnu::format(printf, 3, 4)]] void error(Place where, const char* format, ...);
  [[gnu::format(printf, 4, 5)]] void key_error(Place where, const std::string& path,
                                               const char* format, ...);
  // The same, at the place that set the key.
  [[gnu::format(printf, 3, 4)]] void error_at(const Key& key, const char* format, ...);
  [[gnu::format(printf, 3, 4)]] void warning(const std::string& where, const char* format, ...);
  // Sets a key's member, or notes why not.
  void set(const Key& key, const Value& value, Level level, Place from);

  Origin& origin(const Key& key) { return loaded.origins[key_index(key)]; }
  // Only for keys that exist.
  Origin& origin(std::string_view section, std::string_view name) {
    return origin(*find_key(section, name));
  }
  // "nodebeat.toml:12", "--node".
  std::string text_of(Place place) const;
  // All errors as one, a line each, in the order of the files and of their lines.
  Error all_errors() const;

  const Sources& sources;
  Loaded loaded;
  std::vector<Finding> errors;
  Fault fault = Fault::other;
  bool sockets_are_listed = false;  // by [[socket]]

 private:
  void add(Place where, const std::string& message);
  void add(Place where, const std::string& path, const std::string& message);

  std::string file_;
  int file_number_ = 0;
};

// The keys of one table into draft.loaded.config (load.cc).
void read_section(Draft& draft, const std::string& section, const Value& table);

// All [[socket]] tables into draft.loaded.config (sockets.cc).
void read_sockets(Draft& draft, const Value& tables);
// Rules between sockets, and the default second socket: a socket for reading only, beside the
// first, unless [[socket]] lists the sockets.
void settle_sockets(Draft& draft);

// One [[probe]] table into draft.loaded.config.probes (probes.cc).
void read_probe(Draft& draft, const Value& table);

// Finds the user and the password that win, and sets redis.address and redis.db (secrets.cc).
void resolve_redis(Draft& draft);

}  // namespace nb::config
