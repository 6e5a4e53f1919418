// Memory as a person understands it: how much of it programs could still have.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "health/kernel_file.h"
#include "health/mounts.h"
#include "health/root.h"

namespace nb::health {

struct Memory {
  int64_t total_bytes = 0;
  int64_t available_bytes = 0;

  double percent() const {
    return 100.0 * static_cast<double>(total_bytes - available_bytes) /
           static_cast<double>(total_bytes);
  }
};

// /proc/meminfo. Before Linux 3.14 there is no MemAvailable; then free, buffers, page cache and
// reclaimable slab together, less shared memory, stand in for it.
std::optional<Memory> parse_meminfo(std::string_view text);

// The directory of the process in the memory controller's hierarchy, from /proc/self/cgroup:
// the v1 line that lists `memory`, or the v2 line "0::".
std::optional<std::string_view> parse_cgroup(std::string_view text, bool v1);

// memory.max or memory.limit_in_bytes: bytes, or INT64_MAX for "max".
std::optional<int64_t> parse_memory_limit(std::string_view text);

// The named counter of memory.stat: inactive_file (v2), total_inactive_file (v1).
std::optional<int64_t> parse_memory_stat(std::string_view text, std::string_view name);

// The directories whose limits bound the node, outermost first, relative to the mount point: "",
// "/a", "/a/b" for a process in "/a/b" of a hierarchy mounted whole.
//
// The limit of the agent's own systemd service is not the node's: nodebeat.service has a small
// MemoryMax to keep the agent in its place, and the robot process lives outside of it. The agent's
// own is the innermost "*.service" if the path ends with it, or if it is a nodebeat service; then
// only the groups above count: slices, and the limits of the container. A container runtime sets
// its limit at the mount's own root, seen from inside, or in a directory below (docker/ID,
// docker-ID.scope, k3s.service/kubepods/ID): these do count, and so does their manager's service.
// `root` is the part of the hierarchy that is mounted; a path outside it leaves only the mount.
std::vector<std::string> bounding_groups(std::string_view path, std::string_view root);

// Reads memory; under a cgroup limit (v1 or v2) that is below what the machine has, the limit's:
// the total is the limit, and used is usage without inactive page cache, which is given back
// before anything is refused. Of several limits, the one with the least left.
class MemoryReader {
 public:
  MemoryReader(const Log& log, const Root& root);

  // Searches again for limits that bound the node. Call it at intervals: they seldom change.
  void find_limits(const std::vector<Mount>& mounts, Scratch& scratch);

  std::optional<Memory> read(Scratch& scratch);

 private:
  struct Group {
    Group(const Log& log, const std::string& directory, bool v1);

    std::string directory;
    bool v1;
    KernelFile limit, usage, stat;
  };

  std::vector<std::pair<std::string, bool>> find_groups(const std::vector<Mount>& mounts,
                                                        Scratch& scratch);
  static std::optional<Memory> read_group(Group& group, int64_t limit, Scratch& scratch);

  const Log& log_;
  const Root root_;
  KernelFile meminfo_;
  KernelFile cgroup_;
  std::vector<Group> groups_;
};

}  // namespace nb::health
