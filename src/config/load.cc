#include "config/load.h"

#include "base/file.h"
#include "base/text.h"
#include "config/assign.h"
#include "config/draft.h"
#include "config/files.h"
#include "config/keys.h"
#include "config/rules.h"
#include "config/suggest.h"
#include "config/toml.h"

namespace nb::config {

using namespace std::string_view_literals;  // one size and one memcmp to compare with
namespace {

constexpr std::string_view kPrefix = "NODEBEAT_";
constexpr const char* kFileVariable = "NODEBEAT_CONFIG";

// The version of config/nodebeat.toml. It grows by one when a key is renamed or changes its
// meaning; the words below then tell what has changed.
constexpr int64_t kVersion = 1;
constexpr std::string_view kVersionKey = "config_version";

// A file for another version of nodebeat is not read any further: messages about its keys would
// mislead.
bool is_for_another_version(Draft& draft, const Value& root) {
  for (const Member& member : root.members) {
    if (member.key != kVersionKey || member.value.kind != Value::Kind::integer ||
        member.value.integer == kVersion) {
      continue;
    }
    const bool newer = member.value.integer > kVersion;
    draft.key_error(
        Place(member.line), member.key,
        "this is a configuration of version %lld, and this agent reads version %lld: %s",
        static_cast<long long>(member.value.integer), static_cast<long long>(kVersion),
        newer ? "install the nodebeat that it was written for, or write it anew from the "
                "nodebeat.toml that came with this one"
              : "there was none before; write it anew from the nodebeat.toml that came "
                "with this agent");
    draft.fault = Fault::other_version;
    return true;
  }
  return false;
}

}  // namespace

void read_section(Draft& draft, const std::string& section, const Value& table) {
  for (const Member& member : table.members) {
    const Place where = Place(member.line);
    const Key* key = find_key(section, member.key);
    if (key == nullptr) {
      draft.key_error(where, section + "." + quoted_key(member.key), "unknown key%s",
                      suggest_key(section, member.key).c_str());
      continue;
    }
    draft.set(*key, member.value, Level::file, where);
  }
}

namespace {

void read_root(Draft& draft, const Value& root) {
  for (const Member& section : root.members) {
    const Place where = Place(section.line);
    const Value& value = section.value;
    const std::string name = quoted_key(section.key);
    if (section.key == kVersionKey) {
      if (value.kind != Value::Kind::integer) {
        draft.key_error(where, name, "expected a whole number, got %s", describe(value).c_str());
      }
      continue;
    }
    if (!is_section(section.key)) {
      if (value.kind == Value::Kind::table || value.kind == Value::Kind::list) {
        draft.error(where, "section '%s': unknown section%s", name.c_str(),
                    suggest_section(section.key).c_str());
      } else {
        draft.key_error(where, name, "unknown key outside any section%s",
                        suggest_key("", section.key).c_str());
      }
    } else if (section.key == kProbeSection) {
      if (value.kind != Value::Kind::list) {
        draft.error(where, "section 'probe': write [[probe]], once for each probe");
        continue;
      }
      for (const Value& table : value.items) {
        if (table.kind == Value::Kind::table) {
          read_probe(draft, table);
        } else {
          draft.error(where, "section 'probe': expected tables [[probe]], got %s",
                      describe(table).c_str());
        }
      }
    } else if (section.key == kSocketSection && value.kind == Value::Kind::list) {
      read_sockets(draft, value);
    } else if (value.kind != Value::Kind::table) {
      draft.error(where, "section '%s': expected a table [%s], got %s", name.c_str(), name.c_str(),
                  describe(value).c_str());
    } else {
      read_section(draft, section.key, value);
    }
  }
}

// False if no further file is worth reading.
bool read_text(Draft& draft, const std::string& name, std::string_view text) {
  draft.begin_file(name);
  const Result<Value> root = parse_toml(text, name);
  if (!root) {
    draft.error("", "%s", root.error().message.c_str());
    return true;
  }
  if (is_for_another_version(draft, *root)) return false;
  read_root(draft, *root);
  return true;
}

void read_files(Draft& draft) {
  const Sources& sources = draft.sources;
  std::optional<std::string> file = sources.file;
  bool required = sources.file_required;
  if (sources.text) {
    read_text(draft, file.value_or("configuration"), *sources.text);
    return;
  }
  for (const auto& [name, value] : sources.environment) {
    if (name == kFileVariable && !value.empty() && !sources.file_required) {
      file = value;
      required = true;
    }
  }
  if (!file) return;
  const Result<std::vector<std::string>> files = files_of(*file, required);
  if (!files) return draft.error("", "%s", files.error().message.c_str());
  draft.loaded.files = *files;
  for (const std::string& one : *files) {
    const Result<std::string> text = read_small_file(one, kMaxFile);
    if (!text) {
      draft.error("", "%s", text.error().message.c_str());
    } else if (!read_text(draft, one, *text)) {
      return;
    }
  }
}

const Key* key_of_variable(std::string_view name) {
  for (const Key& key : all_keys()) {
    if (key.short_env != nullptr && key.short_env == name) return &key;
    if (environment_name(key) == name) return &key;
  }
  return nullptr;
}

void read_variable(Draft& draft, const std::string& name, const std::string& text) {
  const Key* key = key_of_variable(name);
  if (key == nullptr) {
    std::vector<std::string> variables;
    for (const Key& known : all_keys()) variables.push_back(environment_name(known));
    std::vector<std::string_view> names;
    // NOLINTNEXTLINE(performance-inefficient-vector-operation): on the way to one warning.
    for (const std::string& variable : variables) names.push_back(std::string_view(variable));
    names.push_back(std::string_view(kFileVariable));
    for (const Key& known : all_keys()) {
      if (known.short_env != nullptr) names.push_back(std::string_view(known.short_env));
    }
    const std::string_view meant = nearest(name, names);
    draft.warning(quoted_key(name), "unknown variable, not used%s%.*s%s",
                  meant.empty() ? "" : "; did you mean ", static_cast<int>(meant.size()),
                  meant.data(), meant.empty() ? "" : "?");
    return;
  }
  const Origin before = draft.origin(*key);
  const Field field = field_of(*key, draft.loaded.config);
  const std::string old = field_text(*key, field);
  draft.set(*key, value_from_text(key->type, text), Level::environment, name);
  if (before.level == Level::environment && field_text(*key, field) != old) {
    draft.error("", "%s and %s are both set, and differ", before.from.c_str(), name.c_str());
  }
}

void read_environment(Draft& draft) {
  for (const auto& [name, text] : draft.sources.environment) {
    if (!name.starts_with(kPrefix) || name == kFileVariable || text.empty()) continue;
    if (name.starts_with("NODEBEAT_TEST_") || name.starts_with("NODEBEAT_DEV_")) continue;
    read_variable(draft, name, text);
  }
}

void read_flags(Draft& draft) {
  const Flags& flags = draft.sources.flags;
  const auto set = [&draft](const std::optional<std::string>& text, const char* section,
                            const char* name, const char* flag) {
    if (!text) return;
    const Key& key = *find_key(section, name);
    draft.set(key, value_from_text(key.type, *text), Level::flag, flag);
  };
  set(flags.node, "node", "name", "--node");
  set(flags.redis_url, "redis", "url", "--redis");
  set(flags.socket_path, "socket", "path", "--socket");
}

void resolve_node(Draft& draft) {
  const Key& key = *find_key("node", "name");
  Origin& origin = draft.origin(key);
  if (origin.level != Level::fallback) return;
  const std::string& host = draft.sources.host_name;
  std::string name = host.substr(0, host.find('.'));
  const Status status = check_name(name);
  if (!status) {
    draft.error_at(key, "not set, and the host name %s can't take its place: %s",
                   in_quotes(host, 64).c_str(), status.error().message.c_str());
    return;
  }
  origin.from = "host name";
  if (name == "localhost"sv) {
    draft.warning("", "key 'node.name': not set, and the host name is only 'localhost'");
  }
  draft.loaded.config.node.name = std::move(name);
}

// The place that an error about two keys names: that of the key which is set.
const Key& set_one(Draft& draft, const Key& first, const Key& second) {
  return draft.origin(first).level == Level::fallback ? second : first;
}

void check_together(Draft& draft) {
  Config& config = draft.loaded.config;
  const auto set_to = [&](const Key& key) { return field_text(key, field_of(key, config)); };
  const auto at_least_two = [&](const char* section, const char* whole, Duration longer,
                                Duration interval_of, const char* why) {
    if (longer >= 2 * interval_of) return;
    const Key& interval = *find_key(section, "interval");
    const Key& other = *find_key(section, whole);
    draft.error_at(set_one(draft, other, interval),
                   "%s.%s (%s) has to be at least two %s.interval (%s), or a single late %s",
                   section, whole, set_to(other).c_str(), section, set_to(interval).c_str(), why);
  };
  at_least_two("heartbeat", "ttl", config.heartbeat.ttl, config.heartbeat.interval,
               "beat makes the node disappear");
  at_least_two("lease", "patience", config.lease.patience, config.lease.interval,
               "renewal makes the node seem dead");
  const Key& base = *find_key("redis", "backoff_base");
  const Key& cap = *find_key("redis", "backoff_cap");
  if (config.redis.backoff_base > config.redis.backoff_cap) {
    draft.error_at(set_one(draft, cap, base),
                   "redis.backoff_base (%s) must not be longer than redis.backoff_cap (%s)",
                   set_to(base).c_str(), set_to(cap).c_str());
  }
}

}  // namespace

std::string Loaded::origin_of(std::string_view key) const {
  const size_t dot = key.find('.');
  if (dot == std::string_view::npos) return {};
  const Key* known = find_key(key.substr(0, dot), key.substr(dot + 1));
  return known == nullptr ? std::string() : origins[key_index(*known)].from;
}

Result<Loaded> load(const Sources& sources) {
  Draft draft(sources);
  read_files(draft);
  read_environment(draft);
  read_flags(draft);
  resolve_node(draft);
  check_together(draft);
  settle_sockets(draft);
  resolve_redis(draft);
  if (!draft.errors.empty()) return draft.all_errors();
  return std::move(draft.loaded);
}

Config default_config(const std::string& node_name) {
  Sources sources;
  sources.flags.node = node_name;
  Result<Loaded> loaded = load(sources);
  return loaded ? std::move(loaded->config) : Config{};
}

}  // namespace nb::config
