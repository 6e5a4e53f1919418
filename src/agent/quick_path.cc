#include "agent/quick_path.h"

#include <limits.h>
#include <unistd.h>

#include "base/file.h"
#include "health/mounts.h"

namespace nb::agent {
namespace {

std::string mount_table() {
  auto text = read_small_file("/proc/self/mountinfo", 1024 * 1024);
  return text ? std::move(*text) : std::string();
}

std::optional<std::string> link_target(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
  if (n < 0) return std::nullopt;
  return std::string(target, static_cast<size_t>(n));
}

}  // namespace

std::optional<std::string> slow_file_system(std::string_view path, std::string_view mountinfo) {
  if (!path.starts_with('/')) return std::nullopt;
  const auto mounts = health::parse_mounts(mountinfo);
  if (!mounts) return std::nullopt;
  const health::Mount* mount = health::mount_behind(*mounts, path, link_target).mount;
  if (mount == nullptr || health::is_local(mount->type) || mount->type == "vfat") {
    return std::nullopt;
  }
  return mount->type + " at " + mount->point;
}

std::string notes_path(const config::Config& config, const Log& log) {
  const std::string& path = config.socket.path;
  if (path.empty()) return {};
  const auto slow = slow_file_system(path, mount_table());
  if (!slow) return path;
  log.every(
      LogLevel::warning,
      "key 'socket.path': %s is on a file system that may not answer (%s): neither this run nor "
      "its stroke session is noted there for the next run; a path in /run would be right",
      path.c_str(), slow->c_str());
  return {};
}

}  // namespace nb::agent
