// The table of all keys, from which everything else is made: reading a file, the names of the
// environment variables, --print-config, the reference file, suggestions, what a reload may change.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "config/config.h"

namespace nb::config {

// A reference to one member of a Config or of a ProbeConfig, of any of the types that keys have.
struct Field {
  enum class Type : uint8_t {
    text,
    duration,
    size,
    integer,
    flag,
    level,
    choice,
    mode,
    list,
    databases,
    statuses,
    http_url,
    endpoint,
  };

  template <class T>
  T& as() const {
    return *static_cast<T*>(at);
  }

  Type type;
  void* at;
};

// The form of a text, or of each text of a list (rules.h).
enum class Rule : uint8_t {
  none,
  name,
  path,
  socket_path,
  socket_path_or_none,
  redis_url,
  prefix_or_none,
  group,
  interface,
  unit,
  plain,
  host,
  instance,
};

struct Key {
  const char* section;
  const char* name;
  Field::Type type;
  uint16_t offset;  // of the member in a ProbeConfig for a key of [[probe]], else in a Config
  Rule rule = Rule::none;
  uint8_t probe_types = 0;  // bits 1 << ProbeType: the probes that have this key; 0: all
  bool secret = false;
  bool needs_restart = false;
  const char* fallback = "";  // the default, as in the environment; "" where there is none
  // "100ms..1h" for a range, "auto|none" for a choice (in the order of its enum).
  const char* allowed = "";
  const char* doc = nullptr;        // only where the reference is made (key_table.h)
  const char* example = nullptr;    // shown in the reference where there is no default
  const char* short_env = nullptr;  // a second, short environment variable

  std::string path() const { return std::string(section) + "." + name; }
};

inline constexpr const char* kProbeSection = "probe";
inline constexpr const char* kSocketSection = "socket";

// All keys, by section in the order of the reference; those of [[probe]] come last.
std::span<const Key> all_keys();
// Nothing if there is no such key.
const Key* find_key(std::string_view section, std::string_view name);
// Of the keys of [socket]: whether only the first socket has it.
bool holds_for_all_sockets(const Key& key);
bool is_section(std::string_view name);
// The index in all_keys().
size_t key_index(const Key& key);
// "NODEBEAT_HEARTBEAT_INTERVAL"; empty for a probe's keys, which no variable can set.
std::string environment_name(const Key& key);
// The member that the key sets: of a ProbeConfig for a key of [[probe]], else of a Config.
Field field_of(const Key& key, const Config& config);
Field field_of(const Key& key, const ProbeConfig& probe);
// For a key of [socket]: the same member of a further [[socket]].
Field field_of(const Key& key, const SocketConfig& socket);

// Every default; the node's name is empty, and `redis.address` is not resolved yet.
void set_raw_defaults(Config& config);

}  // namespace nb::config
