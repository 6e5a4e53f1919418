// The mount table: which file system a path is on, found out without a call to one that may hang.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nb::health {

// One line of /proc/self/mountinfo (proc(5)), its octal escapes undone.
struct Mount {
  std::string root;   // which directory of the file system is mounted here: "/" as a rule
  std::string point;  // where
  std::string type;   // "ext4", "nfs4", "fuse.sshfs"
  std::string super_options;
  std::string device;  // "8:1": the file system, wherever it is mounted
};

std::optional<Mount> parse_mount(std::string_view line);

// All lines that are mounts, in their order. Nothing if none is.
std::optional<std::vector<Mount>> parse_mounts(std::string_view text);

// The mount of an absolute path without symbolic links: the one with the longest mount point above
// it; of several there, the last, which hides the others. Null if there is none.
const Mount* mount_of(const std::vector<Mount>& mounts, std::string_view path);

// True for file systems that answer statfs(2) from memory, without asking a network, a process or
// a slow disk: only these may be asked on the loop's thread. What is not known is not local.
// (vfat is not: Linux counts its free clusters, reading the whole table, at the first question.)
bool is_local(std::string_view type);

// The target of a symbolic link, or nothing if `path` is none.
using ReadLink = std::function<std::optional<std::string>(const std::string& path)>;

struct MountBehind {
  const Mount* mount = nullptr;  // null: there is no such mount, or the links go round in a circle
  // The path is where that file system is mounted, not something inside of it. A folder that is
  // laid over itself (a sandbox makes it read-only so) is no mount.
  bool is_point = false;
};

// The mount that `path` leads to, symbolic links followed. A component is read only while
// everything above it is local: a link into a hung file system is followed up to its edge.
MountBehind mount_behind(const std::vector<Mount>& mounts, std::string_view path,
                         const ReadLink& read_link);

}  // namespace nb::health
