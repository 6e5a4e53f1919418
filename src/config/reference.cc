#include "base/text.h"
#include "config/assign.h"
#include "config/print.h"

#define NB_DOC(...) __VA_ARGS__
#include "config/key_table.h"

namespace nb::config {
namespace {

std::string replaced(std::string text, std::string_view what, std::string_view by) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
  return text;
}

// "Duration, 100ms to 1h": the kind of value of the key.
std::string kind_text(const Key& key, Field::Type type) {
  const std::string range = replaced(key.allowed, "..", " to ");
  switch (type) {
    case Field::Type::duration:
      return "Duration, " + range;
    case Field::Type::size:
      return "Size, " + range;
    case Field::Type::integer:
      return "Number, " + range;
    case Field::Type::flag:
      return "true or false";
    case Field::Type::level:
    case Field::Type::choice:
      return "One of " + replaced(key.allowed, "|", ", ");
    case Field::Type::list:
      return *key.allowed != '\0' ? "List of " + replaced(key.allowed, "|", ", ") : "List of texts";
    case Field::Type::databases:
      return "Table of numbers";
    case Field::Type::statuses:
      return "Number, text or list";
    default:
      return "Text";
  }
}

void add_reference(std::string& out, const Key& key) {
  Config config;
  ProbeConfig probe;
  const bool in_probe = std::string_view(key.section) == kProbeSection;
  const Field field = in_probe ? field_of(key, probe) : field_of(key, config);
  const bool has_example = *key.fallback == '\0' && key.example != nullptr;
  const char* value = has_example ? key.example : key.fallback;
  if (*value != '\0') (void)assign(key, value_from_text(field.type, value), field);

  out += "\n# " + replaced(key.doc, "\n", "\n# ") + "\n# " + kind_text(key, field.type) + ".";
  const std::string variable = environment_name(key);
  if (!variable.empty()) out += " " + variable;
  if (key.short_env != nullptr) out += std::string(" or ") + key.short_env;
  if (has_example) out += variable.empty() ? " Example:" : ". Example:";
  out += "\n";
  if (field.type == Field::Type::databases) {
    out += "#[" + key.path() + "]\n";
    for (const Database& database : config.redis.db) {
      out += "#" + database.name + " = " + std::to_string(database.number) + "\n";
    }
  } else {
    out += std::string("#") + key.name + " = " + field_text(key, field) + "\n";
  }
}

constexpr const char* kPreface =
    R"(# nodebeat: configuration of the agent (TOML 1.0). Every key is optional; the lines commented out
# below show the defaults, unless they say "Example". An empty file is valid, and so is none.
#
# Durations are a whole number and ns, us, ms, s, min, h or d: "250ms", "5s", "10min". Sizes are a
# whole number and B, KiB, MiB, GiB (1024) or kB, MB, GB (1000): "64KiB". A number without its unit
# is an error, and so is an unknown key.
#
# Settings belong into files beside /etc/nodebeat/nodebeat.toml, which may be missing. The files
# nodebeat.d/*.toml are read after it, in the order of the bytes of their names (for --config
# NAME.toml: NAME.d/*.toml). If several files set a key, the last one wins, also if the value is
# a list or redis.db. The probes of all files add up; a probe replaces one of the same name in an
# earlier file. [[socket]] replaces everything that earlier files say about sockets.
#
# The environment variable at each key wins over the files, and a flag of nodebeatd (--node,
# --redis, --socket) wins over both. In a variable, a list is written with commas (/,/data),
# databases as health=0,sessions=2; an empty variable counts as not set. NODEBEAT_CONFIG names
# another file.
#
# nodebeatd --check-config says whether the files are right; --print-config shows the values in
# force and their origins. After a change: systemctl reload nodebeat (SIGHUP). node.name, [socket],
# [watch], redis.db and redis.prefix take effect at the next start.

# The version of this file. For another version, the agent says so and what to do, instead of
# naming keys. The line may be left out.
config_version = 1
)";

constexpr const char* kSocket = R"(
# The local socket. Beside it is a second socket, for reading only: view.sock in the same folder
# (for a path that does not end in agent.sock: that path and .view), of the group nodebeat-view,
# with 32 connections and 10000 calls a second for each. If there is no such group, it is for the
# agent's own user.
# For other sockets, or no second one, write [[socket]] instead, once for each. The first one has
# the keys below; the environment and --socket are for the first one. Each further one needs path
# and rights, and has the same defaults; max_line, max_output and line_timeout of the first one hold
# for all.
[socket]
)";

constexpr const char* kProbes = R"(
# Probes: checks of the programs beside the agent. One [[probe]] for each; no environment variables.
#[[probe]]
)";

}  // namespace

std::string reference() {
  std::string out = kPreface;
  std::string_view section;
  for (const Key& key : kKeys) {
    if (section != key.section) {
      section = key.section;
      out += section == kProbeSection    ? kProbes
             : section == kSocketSection ? kSocket
                                         : "\n[" + std::string(section) + "]\n";
    }
    add_reference(out, key);
  }
  return out;
}

}  // namespace nb::config
