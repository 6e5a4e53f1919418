#include "config/changes.h"

#include <utility>

#include "config/assign.h"
#include "config/keys.h"

namespace nb::config {
namespace {

const ProbeConfig* find_probe(const Config& config, const std::string& name) {
  for (const ProbeConfig& probe : config.probes) {
    if (probe.name == name) return &probe;
  }
  return nullptr;
}

}  // namespace

std::vector<std::string> changed_keys(const Config& before, const Config& after) {
  std::vector<std::string> changed;
  for (const Key& key : all_keys()) {
    if (std::string_view(key.section) == kProbeSection) continue;
    if (field_text(key, field_of(key, before)) != field_text(key, field_of(key, after))) {
      changed.push_back(key.path());
    }
  }
  const auto listed = [](const Config& config) {
    std::vector<SocketConfig> list = config.more_sockets;
    // The path of the view follows that of the first.
    for (SocketConfig& socket : list) {
      if (socket.is_view) socket.path.clear();
    }
    return list;
  };
  if (listed(before) != listed(after)) changed.push_back(kSocketSection);
  const std::string prefix = std::string(kProbeSection) + ".";
  for (const ProbeConfig& probe : before.probes) {
    const ProbeConfig* other = find_probe(after, probe.name);
    if (other == nullptr || !(*other == probe)) changed.push_back(prefix + probe.name);
  }
  for (const ProbeConfig& probe : after.probes) {
    if (find_probe(before, probe.name) == nullptr) changed.push_back(prefix + probe.name);
  }
  return changed;
}

bool needs_restart(std::string_view path) {
  const size_t dot = path.find('.');
  if (dot == std::string_view::npos) return path == kSocketSection;
  const Key* key = find_key(path.substr(0, dot), path.substr(dot + 1));
  return key != nullptr && key->needs_restart;
}

void keep_until_restart(Config& running, Config& next) {
  std::swap(next.node, running.node);
  std::swap(next.socket, running.socket);
  next.more_sockets.swap(running.more_sockets);
  next.redis.db.swap(running.redis.db);
  next.redis.prefix.swap(running.redis.prefix);
  next.watch = running.watch;
  next.redis.address.db = running.redis.address.db;
}

}  // namespace nb::config
