#include "audit/options.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include "audit/database.h"
#include "base/file.h"
#include "base/nearest.h"
#include "base/text.h"
#include "config/assign.h"
#include "config/files.h"
#include "config/secrets.h"
#include "config/toml.h"
#include "wire/keys.h"

namespace nb::audit {
namespace {

using config::Field;
using config::Key;
using config::Rule;
using config::Value;

#define NB_OPTION(kind, member) .type = Field::Type::kind, .offset = offsetof(Options, member)
constexpr Key kKeys[] = {
    {.section = "redis",
     .name = "url",
     NB_OPTION(text, redis_url),
     .rule = Rule::redis_url,
     .fallback = "redis://127.0.0.1:6379/0"},
    {.section = "redis", .name = "username", NB_OPTION(text, redis_username)},
    {.section = "redis",
     .name = "password_file",
     NB_OPTION(text, redis_password_file),
     .rule = Rule::path},
    {.section = "redis",
     .name = "prefix",
     NB_OPTION(text, redis_prefix),
     .rule = Rule::prefix_or_none},
    {.section = "redis",
     .name = "connect_timeout",
     NB_OPTION(duration, connect_timeout),
     .fallback = "5s",
     .allowed = "10ms..1min"},
    {.section = "redis",
     .name = "command_timeout",
     NB_OPTION(duration, command_timeout),
     .fallback = "10s",
     .allowed = "100ms..10min"},
    {.section = "postgresql",
     .name = "conninfo",
     NB_OPTION(text, conninfo),
     .fallback = "dbname=nodebeat"},
    {.section = "postgresql",
     .name = "password_file",
     NB_OPTION(text, database_password_file),
     .rule = Rule::path},
    {.section = "postgresql",
     .name = "connect_timeout",
     NB_OPTION(duration, database_connect_timeout),
     .fallback = "5s",
     .allowed = "10ms..1min"},
    {.section = "postgresql",
     .name = "statement_timeout",
     NB_OPTION(duration, statement_timeout),
     .fallback = "30s",
     .allowed = "100ms..10min"},
    {.section = "audit", .name = "consumer", NB_OPTION(text, consumer), .rule = Rule::name},
    {.section = "audit",
     .name = "batch",
     NB_OPTION(integer, batch),
     .fallback = "500",
     .allowed = "1..2000"},
    {.section = "audit",
     .name = "takeover_after",
     NB_OPTION(duration, takeover_after),
     .fallback = "1min",
     .allowed = "100ms..1d"},
    {.section = "audit",
     .name = "backoff_cap",
     NB_OPTION(duration, backoff_cap),
     .fallback = "30s",
     .allowed = "100ms..1h"},
    {.section = "log",
     .name = "level",
     NB_OPTION(level, level),
     .fallback = "info",
     .allowed = "error|warning|notice|info|debug"},
};
#undef NB_OPTION

Field field_of(const Key& key, Options& options) {
  return {key.type, reinterpret_cast<char*>(&options) + key.offset};
}

class Draft {
 public:
  // `file` is the one that is named where a key is set nowhere.
  Draft(const std::string& file, const std::string& folder) : files_{file}, folder_(folder) {
    for (const Key& key : kKeys) {
      if (*key.fallback == '\0') continue;
      (void)assign(key, config::value_from_text(key.type, key.fallback),
                   field_of(key, loaded_.options));
    }
  }

  Status read(const std::string& file, std::string_view text);
  void settle(const std::string& host_name);
  Result<LoadedOptions> result();

 private:
  struct Place {
    size_t file = 0;
    int line = 0;  // 0: of no line
  };
  struct Mistake {
    Place place;
    std::string text;
  };

  void read_root(const Value& root);
  void read_section(const config::Member& section);
  Place at(int line) const { return {files_.size() - 1, line}; }
  void mistake(Place place, const std::string& name, const std::string& words);
  void settle_password(const char* section, const std::string& path, const char* credential,
                       std::string& password);
  Place place_of(std::string_view section, std::string_view name) const;

  std::vector<std::string> files_;  // the first, and then those that were read
  const std::string& folder_;
  LoadedOptions loaded_;
  std::vector<Mistake> mistakes_;
  Place places_[std::size(kKeys)];  // the place of each key
};

const Key* find(std::string_view section, std::string_view name) {
  for (const Key& key : kKeys) {
    if (key.section == section && (name.empty() || key.name == name)) return &key;
  }
  return nullptr;
}

void Draft::mistake(Place place, const std::string& name, const std::string& words) {
  const std::string line = place.line > 0 ? ':' + std::to_string(place.line) : std::string();
  mistakes_.push_back({place, files_[place.file] + line + ": " + name + ": " + words});
}

Draft::Place Draft::place_of(std::string_view section, std::string_view name) const {
  return places_[find(section, name) - kKeys];
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> names) {
  const std::string_view meant = nearest(word, names);
  return meant.empty() ? std::string() : "; did you mean '" + std::string(meant) + "'?";
}

void Draft::read_section(const config::Member& section) {
  for (const config::Member& member : section.value.members) {
    const std::string path = section.key + '.' + config::quoted_key(member.key);
    const Key* key = member.key.empty() ? nullptr : find(section.key, member.key);
    if (key == nullptr) {
      std::vector<std::string_view> names;
      for (const Key& known : kKeys) {
        if (known.section == section.key) names.emplace_back(known.name);
      }
      mistake(at(member.line), "key '" + path + "'",
              "unknown key" + did_you_mean(member.key, names));
      continue;
    }
    places_[key - kKeys] = at(member.line);
    const Status status = assign(*key, member.value, field_of(*key, loaded_.options));
    if (!status) mistake(at(member.line), "key '" + path + "'", status.error().message);
  }
}

Status Draft::read(const std::string& file, std::string_view text) {
  files_.push_back(file);
  const Result<Value> root = config::parse_toml(text, file);
  if (!root) return root.error();
  read_root(*root);
  return {};
}

void Draft::read_root(const Value& root) {
  for (const config::Member& section : root.members) {
    const std::string name = "section '" + config::quoted_key(section.key) + "'";
    if (section.key.empty() || find(section.key, {}) == nullptr) {
      std::vector<std::string_view> names;
      for (const Key& known : kKeys) {
        if (names.empty() || names.back() != known.section) names.emplace_back(known.section);
      }
      mistake(at(section.line), name,
              "unknown here: this file has [redis], [postgresql], [audit] and [log]" +
                  did_you_mean(section.key, names));
    } else if (section.value.kind != Value::Kind::table) {
      mistake(at(section.line), name, "expected a table [" + section.key + "]");
    } else {
      read_section(section);
    }
  }
}

// The password of the file that is named, else of the service manager's credential, if there is
// one.
void Draft::settle_password(const char* section, const std::string& path, const char* credential,
                            std::string& password) {
  const Place place = place_of(section, "password_file");
  const std::string name = std::string("key '") + section + ".password_file'";
  if (path.empty() && folder_.empty()) return;
  const std::string& from = path.empty() ? folder_ + '/' + credential : path;
  const auto file = config::read_secret_file(from);
  if (!file) return mistake(place, name, file.error().message);
  if (!*file) {
    if (!path.empty()) mistake(place, name, from + ": there is no such file");
    return;
  }
  Result<std::string> found = config::password_from((*file)->text);
  if (!found) return mistake(place, name, from + ": " + found.error().message);
  if ((*file)->others_may_read) {
    loaded_.warnings.push_back(from +
                               " holds a password and may be read by every user of this host");
  }
  if (const std::string doubt = config::doubt_about(*found); !doubt.empty()) {
    loaded_.warnings.push_back(from + ": " + doubt);
  }
  password = std::move(*found);
}

void Draft::settle(const std::string& host_name) {
  Options& options = loaded_.options;
  if (const auto address = config::parse_redis_url(options.redis_url)) options.redis = *address;
  if (!options.redis.password.empty()) {
    mistake(place_of("redis", "url"), "key 'redis.url'",
            "a password has no place here: put it into a file, and that file's name into "
            "redis.password_file");
  }
  if (!options.redis_username.empty()) options.redis.user = options.redis_username;
  settle_password("redis", options.redis_password_file, "redis-password", options.redis.password);
  if (!options.redis.user.empty() && options.redis.password.empty()) {
    mistake(place_of("redis", "url"), "key 'redis.password_file'",
            "not set, but redis.url or redis.username names a user: that user needs a password");
  }
  const std::string fault = conninfo_fault(options.conninfo);
  if (!fault.empty())
    mistake(place_of("postgresql", "conninfo"), "key 'postgresql.conninfo'", fault);
  settle_password("postgresql", options.database_password_file, "postgresql-password",
                  options.database_password);
  if (options.consumer.empty()) options.consumer = host_name.empty() ? "audit" : host_name;
}

Result<LoadedOptions> Draft::result() {
  if (mistakes_.empty()) return std::move(loaded_);
  std::stable_sort(mistakes_.begin(), mistakes_.end(), [](const Mistake& a, const Mistake& b) {
    return std::tie(a.place.file, a.place.line) < std::tie(b.place.file, b.place.line);
  });
  std::string all;
  for (const Mistake& one : mistakes_) all += (all.empty() ? "" : "\n") + one.text;
  return Error{std::move(all)};
}

}  // namespace

std::string Options::stream() const {
  return std::string(redis_prefix).append(wire::kSessionAuditKey);
}

std::span<const Key> option_keys() {
  return kKeys;
}

Result<LoadedOptions> parse_options(std::string_view text, const std::string& file,
                                    const std::string& host_name, const std::string& folder) {
  Draft draft(file, folder);
  if (const Status read = draft.read(file, text); !read) return read.error();
  draft.settle(host_name);
  return draft.result();
}

Result<LoadedOptions> load_options(const std::string& file, const std::string& host_name,
                                   const std::string& folder) {
  const Result<std::vector<std::string>> files = config::files_of(file, true);
  if (!files) return files.error();
  Draft draft(file, folder);
  for (const std::string& one : *files) {
    const Result<std::string> text = read_small_file(one, config::kMaxFile);
    if (!text) return text.error();
    if (const Status read = draft.read(one, *text); !read) return read.error();
  }
  draft.settle(host_name);
  return draft.result();
}

}  // namespace nb::audit
