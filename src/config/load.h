// Makes the Config: defaults, then the file, the files of its folder (files.h), the environment and
// flags, each over the one before; then the secrets, and the rules between keys.
//
// The caller passes everything, except for these files and the files with secrets. With any error
// there is no Config at all. The error has one line for each mistake.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "config/secrets.h"

namespace nb::config {

struct Flags {
  std::optional<std::string> node;         // --node
  std::optional<std::string> redis_url;    // --redis
  std::optional<std::string> socket_path;  // --socket
};

struct Sources {
  // The file to read. NODEBEAT_CONFIG replaces it unless `file_required` (a flag has named it). It
  // may be missing, but not unreadable, if it isn't required or its folder is there.
  std::optional<std::string> file;
  bool file_required = false;
  // Instead of all files' content; `file` is then only its name in messages.
  std::optional<std::string> text;
  // All variables; those that begin with NODEBEAT_, and CREDENTIALS_DIRECTORY, matter. One that is
  // empty counts as not set.
  std::vector<std::pair<std::string, std::string>> environment;
  Flags flags;
  std::string host_name;
  SecretReader read_secret = read_secret_file;
};

// Weakest first.
enum class Level : uint8_t { fallback, file, credential, environment, flag };

// Where a value came from: "default", "/etc/nodebeat/nodebeat.toml:12", "NODEBEAT_NODE", "--node".
struct Origin {
  Level level = Level::fallback;
  std::string from = "default";
};

struct GroupReadable {
  std::string path;
  uint32_t group = 0;
};

struct Loaded {
  Config config;
  std::vector<std::string> warnings;
  std::vector<std::string> files;           // the files that were read, in that order; empty: none
  std::vector<Origin> origins;              // by the index of the key (keys.h)
  std::vector<std::string> probe_origins;   // by the index in config.probes
  std::vector<std::string> socket_origins;  // by the index in config.more_sockets
  // Files that hold the password in use and that a group may read. agent/mapping.h looks up the
  // numbers of groups, and so whether the members of this one are clients of the socket.
  std::vector<GroupReadable> group_readable;

  // Of "heartbeat.interval"; "" for an unknown key.
  std::string origin_of(std::string_view key) const;
};

// Collects up to 20 errors, as lines of the message: "nodebeat.toml:3: key 'heartbeat.ttl': ...".
// Unknown NODEBEAT_ variables are warnings; those that begin with NODEBEAT_TEST_ or NODEBEAT_DEV_
// are left to the project's own tools.
Result<Loaded> load(const Sources& sources);

// All defaults with this node name.
Config default_config(const std::string& node_name);

}  // namespace nb::config
