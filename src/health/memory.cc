#include "health/memory.h"

#include <algorithm>
#include <limits>

#include "health/fields.h"

namespace nb::health {

using namespace std::string_view_literals;  // one size and one memcmp to compare with
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

bool has_option(std::string_view options, std::string_view name) {
  while (!options.empty()) {
    const size_t comma = std::min(options.find(','), options.size());
    if (options.substr(0, comma) == name) return true;
    options.remove_prefix(std::min(comma + 1, options.size()));
  }
  return false;
}

std::optional<int64_t> parse_bytes(std::string_view text) {
  return parse_number<int64_t>(trim(text));
}

}  // namespace

std::optional<Memory> parse_meminfo(std::string_view text) {
  int64_t total = -1, available = -1, spare = 0;
  while (!text.empty()) {
    std::string_view line = next_line(text);
    const std::string_view name = next_word(line);
    const int sign =
        name == "MemFree:" || name == "Buffers:" || name == "Cached:" || name == "SReclaimable:" ? 1
        : name == "Shmem:" ? -1
                           : 0;
    const bool is_total = name == "MemTotal:";
    const bool is_available = name == "MemAvailable:";
    if (sign == 0 && !is_total && !is_available) continue;
    const auto kilobytes = next_number<int64_t>(line);
    if (!kilobytes || *kilobytes < 0 || *kilobytes > kMost / 1024 / 16) return std::nullopt;
    if (is_total) total = *kilobytes * 1024;
    if (is_available) available = *kilobytes * 1024;
    spare += sign * *kilobytes * 1024;
    if (spare > kMost / 2 || spare < -kMost / 2) return std::nullopt;
  }
  if (total <= 0) return std::nullopt;
  if (available < 0) available = spare;
  return Memory{total, std::clamp<int64_t>(available, 0, total)};
}

std::optional<std::string_view> parse_cgroup(std::string_view text, bool v1) {
  while (!text.empty()) {
    std::string_view line = next_line(text);  // "4:memory:/docker/1f2e", "0::/user.slice"
    const size_t first = line.find(':');
    if (first == std::string_view::npos) continue;
    const size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string_view path = line.substr(second + 1);
    if (!path.starts_with('/')) continue;
    if (v1 ? has_option(controllers, "memory") : line.starts_with("0::")) return path;
  }
  return std::nullopt;
}

std::optional<int64_t> parse_memory_limit(std::string_view text) {
  if (trim(text) == "max") return kMost;
  return parse_bytes(text);
}

std::optional<int64_t> parse_memory_stat(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    std::string_view line = next_line(text);
    if (next_word(line) == name) return next_number<int64_t>(line);
  }
  return std::nullopt;
}

std::vector<std::string> bounding_groups(std::string_view path, std::string_view root) {
  std::vector<std::string> groups{""};
  if (root != "/") {
    // A container that sees its own part only; the process's path may be given from the host's top.
    if (!path.starts_with(root)) return groups;
    path.remove_prefix(root.size());
    if (!path.empty() && path.front() != '/') return groups;
  }
  std::vector<std::string> inner;
  size_t counted = std::string_view::npos;
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find('/', at + 1), path.size());
    const std::string_view name = path.substr(at + 1, end - at - 1);
    if (name == "..") return groups;  // outside of the cgroup namespace
    const bool last = end == path.size();
    if (name.ends_with(".service") && (last || name.starts_with("nodebeat"))) {
      counted = inner.size();
    }
    if (!name.empty()) inner.push_back(std::string(path.substr(0, end)));
    at = end;
  }
  inner.resize(std::min(counted, inner.size()));
  groups.insert(groups.end(), inner.begin(), inner.end());
  return groups;
}

MemoryReader::Group::Group(const Log& log, const std::string& where, bool is_v1)
    : directory(where),
      v1(is_v1),
      limit(log, where + (is_v1 ? "/memory.limit_in_bytes" : "/memory.max")),
      usage(log, where + (is_v1 ? "/memory.usage_in_bytes" : "/memory.current")),
      stat(log, where + "/memory.stat") {}

MemoryReader::MemoryReader(const Log& log, const Root& root)
    : log_(log),
      root_(root),
      meminfo_(log, root("/proc/meminfo")),
      cgroup_(log, root("/proc/self/cgroup")) {}

std::vector<std::pair<std::string, bool>> MemoryReader::find_groups(
    const std::vector<Mount>& mounts, Scratch& scratch) {
  std::vector<std::pair<std::string, bool>> groups;
  cgroup_.read(scratch, KernelFile::Part::whole, [&](std::string_view text) {
    for (const Mount& mount : mounts) {
      const bool v1 = mount.type == "cgroup"sv && has_option(mount.super_options, "memory");
      if (!v1 && mount.type != "cgroup2"sv) continue;
      const auto path = parse_cgroup(text, v1);
      if (!path) continue;
      for (const std::string& group : bounding_groups(*path, mount.root)) {
        groups.emplace_back(root_(mount.point) + group, v1);
      }
    }
    return text.find(':') == std::string_view::npos ? std::nullopt : std::optional<bool>(true);
  });
  return groups;
}

void MemoryReader::find_limits(const std::vector<Mount>& mounts, Scratch& scratch) {
  const auto found = find_groups(mounts, scratch);
  const bool same = std::equal(
      found.begin(), found.end(), groups_.begin(), groups_.end(),
      [](const auto& a, const Group& b) { return a.first == b.directory && a.second == b.v1; });
  if (!same) {
    groups_.clear();
    for (const auto& [directory, v1] : found) groups_.emplace_back(log_, directory, v1);
  }
}

std::optional<Memory> MemoryReader::read_group(Group& group, int64_t limit, Scratch& scratch) {
  const auto usage = group.usage.read(scratch, KernelFile::Part::start, parse_bytes);
  const auto inactive =
      group.stat.read(scratch, KernelFile::Part::whole, [&group](std::string_view text) {
        return parse_memory_stat(text, group.v1 ? "total_inactive_file" : "inactive_file");
      });
  if (!usage || *usage < 0) return std::nullopt;
  const int64_t cache = std::clamp<int64_t>(inactive.value_or(0), 0, *usage);
  return Memory{limit, std::clamp<int64_t>(limit - (*usage - cache), 0, limit)};
}

std::optional<Memory> MemoryReader::read(Scratch& scratch) {
  const auto machine = meminfo_.read(scratch, KernelFile::Part::start, parse_meminfo);
  std::optional<Memory> tightest;
  for (Group& group : groups_) {
    const auto limit = group.limit.read(scratch, KernelFile::Part::start, parse_memory_limit);
    // A limit above the machine's memory limits nothing.
    if (!limit || *limit <= 0 || (machine && *limit >= machine->total_bytes)) continue;
    const auto memory = read_group(group, *limit, scratch);
    // The limit holds for the node, but the remaining amount is not known: the machine's figure
    // would be wrong.
    if (!memory) return std::nullopt;
    if (!tightest || memory->available_bytes < tightest->available_bytes) tightest = memory;
  }
  return tightest ? tightest : machine;
}

}  // namespace nb::health
