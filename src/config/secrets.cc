#include "config/secrets.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <span>

#include "base/file.h"
#include "base/text.h"
#include "config/draft.h"

namespace nb::config {
namespace {

constexpr const char* kCredential = "redis-password";
constexpr std::string_view kDirectory = "CREDENTIALS_DIRECTORY";

std::optional<uint32_t> reading_group(const struct stat& info) {
  if ((info.st_mode & S_IRGRP) == 0) return std::nullopt;
  return uint32_t{info.st_gid};
}

// The password in `path`; "" if it can't be had, which is then noted.
std::string read_password(Draft& draft, const std::string& path, const std::string& where,
                          bool required) {
  const auto file = draft.sources.read_secret(path);
  if (!file) {
    draft.error(where, "%s", file.error().message.c_str());
    return {};
  }
  if (!file->has_value()) {
    if (required) draft.error(where, "%s: %s", path.c_str(), std::strerror(ENOENT));
    return {};
  }
  Result<std::string> password = password_from((*file)->text);
  if (!password) {
    draft.error(where, "%s: %s", path.c_str(), password.error().message.c_str());
    return {};
  }
  if ((*file)->others_may_read) {
    draft.warning(where, "%s holds a password and may be read by every user of this host",
                  path.c_str());
  } else if ((*file)->group) {  // a file that everybody may read is reported once
    draft.loaded.group_readable.push_back({path, *(*file)->group});
  }
  const std::string doubt = doubt_about(*password);
  if (!doubt.empty()) draft.warning(where, "%s: %s", path.c_str(), doubt.c_str());
  return std::move(*password);
}

std::string credential_path(const Draft& draft) {
  for (const auto& [name, value] : draft.sources.environment) {
    if (name == kDirectory && !value.empty()) return value + "/" + kCredential;
  }
  return {};
}

// A place for a password: a text, or the file that `path` names. Each view lives as long as the
// Draft and the URL.
struct Candidate {
  Level level = Level::fallback;
  int rank = 0;  // among places of one level, the higher wins
  std::string_view text;
  std::string_view path;
  std::string_view from;
};

struct Password {
  Level level = Level::fallback;
  std::string text;
  std::string from;
};

// Of those that were not tried yet, which have a rank.
Candidate& strongest(std::span<Candidate> places) {
  Candidate* best = &places[0];
  for (Candidate& place : places) {
    if (place.rank < 0) continue;
    const bool stronger =
        place.level != best->level ? place.level > best->level : place.rank > best->rank;
    if (best->rank < 0 || stronger) best = &place;
  }
  return *best;
}

// The strongest place that has a password. Files are read only when it is their turn, so that one
// that isn't used can't stop the agent.
Password find_password(Draft& draft, const RedisAddress& address) {
  const RedisConfig& redis = draft.loaded.config.redis;
  const Level url = draft.origin("redis", "url").level;
  const Origin& password = draft.origin("redis", "password");
  const Origin& file = draft.origin("redis", "password_file");
  const std::string credential_file = credential_path(draft);
  Candidate places[] = {
      {file.level, 3, {}, redis.password_file, redis.password_file},
      {password.level, 2, redis.password, {}, password.from},
      {url, 1, address.password, {}, "redis.url"},
      {Level::credential, 0, {}, credential_file, "credential redis-password"},
  };
  Password found;
  for (size_t tried = 0; tried < std::size(places); ++tried) {
    Candidate& place = strongest(places);
    found.text = place.text;
    if (!place.path.empty()) {
      const bool credential = place.level == Level::credential;
      found.text =
          read_password(draft, std::string(place.path), credential ? "" : file.from, !credential);
      // A file that was named has to work; the next best password would be a wrong one.
      if (found.text.empty() && !credential) break;
    }
    if (!found.text.empty()) {
      found.level = place.level;
      found.from = place.from;
      break;
    }
    place.rank = -1;
  }
  return found;
}

// The file of a place such as "/etc/nodebeat/nodebeat.d/cell.toml:3".
std::string file_of(const Origin& place) {
  return place.level == Level::file ? place.from.substr(0, place.from.rfind(':')) : std::string();
}

void warn_about_file(Draft& draft, const std::string& file) {
  struct stat info {};
  if (file.empty() || draft.sources.text || ::stat(file.c_str(), &info) != 0) return;
  if ((info.st_mode & S_IROTH) != 0) {
    draft.warning(file, "holds a password and may be read by every user of this host");
  } else if (const auto group = reading_group(info)) {
    draft.loaded.group_readable.push_back({file, *group});
  }
}

void warn_about_config_files(Draft& draft, const RedisAddress& address) {
  std::string by_url;
  std::string by_key;
  if (!address.password.empty()) by_url = file_of(draft.origin("redis", "url"));
  if (!draft.loaded.config.redis.password.empty()) {
    by_key = file_of(draft.origin("redis", "password"));
  }
  warn_about_file(draft, by_url);
  if (by_key != by_url) warn_about_file(draft, by_key);
}

void resolve_databases(Draft& draft, RedisConfig& redis) {
  const Key& key = *find_key("redis", "db");
  if (draft.origin(key).level == Level::fallback) {
    redis.db.clear();
    redis.db.push_back({"health", redis.address.db});
    draft.origin(key).from = "redis.url";
    return;
  }
  const Result<int> health = redis.db_for("health");
  if (!health) {
    draft.error_at(key, "%s", health.error().message.c_str());
    return;
  }
  const Origin& url = draft.origin("redis", "url");
  if (redis.address.db_given && url.level != Level::fallback && redis.address.db != *health) {
    draft.warning(url.from,
                  "key 'redis.url': its database is not used, because redis.db names the "
                  "databases");
  }
  redis.address.db = *health;
}

}  // namespace

Result<std::optional<SecretFile>> read_secret_file(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
    return std::optional<SecretFile>();
  }
  Result<std::string> text = read_small_file(path);
  if (!text) return text.error();
  return std::optional(
      SecretFile{std::move(*text), (info.st_mode & S_IROTH) != 0, reading_group(info)});
}

Result<std::string> password_from(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  if (text.empty()) return make_error("the file is empty: there is no password in it");
  if (text.find('\n') != std::string_view::npos) {
    return make_error("the file has several lines; expected nothing but the password");
  }
  return std::string(text);
}

std::string doubt_about(std::string_view password) {
  const char first = password.front();
  if (password.size() > 1 && first == password.back() && (first == '"' || first == '\'')) {
    return "the quotes around the password are taken as part of it";
  }
  if (trim(password).size() != password.size()) {
    return "the blanks around the password are taken as part of it";
  }
  return {};
}

void resolve_redis(Draft& draft) {
  RedisConfig& redis = draft.loaded.config.redis;
  std::vector<std::string> remarks;
  Result<RedisAddress> address = parse_redis_url(redis.url, &remarks);
  if (!address) return;  // noted where the key was set
  for (const std::string& remark : remarks) {
    draft.warning(draft.origin("redis", "url").from, "key 'redis.url': %s", remark.c_str());
  }

  Origin& username = draft.origin("redis", "username");
  const Origin& url = draft.origin("redis", "url");
  if (!address->user.empty() && (redis.username.empty() || url.level > username.level)) {
    redis.username = address->user;
    username = {url.level, "redis.url"};
  }
  if (!redis.password.empty() && !redis.password_file.empty() &&
      draft.origin("redis", "password").level == draft.origin("redis", "password_file").level) {
    draft.warning(draft.origin("redis", "password").from,
                  "key 'redis.password': not used, because redis.password_file is set too");
  }
  Password password = find_password(draft, *address);
  warn_about_config_files(draft, *address);

  redis.url = masked_url(*address);
  redis.address = std::move(*address);
  redis.password = std::move(password.text);
  redis.address.user = redis.username;
  redis.address.password = redis.password;
  if (!redis.password.empty()) {
    draft.origin("redis", "password") = {password.level, std::move(password.from)};
  }
  resolve_databases(draft, redis);
}

}  // namespace nb::config
