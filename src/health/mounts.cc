#include "health/mounts.h"

#include <algorithm>

#include "health/fields.h"

namespace nb::health {
namespace {

// "\040" is a space: the kernel escapes space, tab, newline and backslash.
std::string unescape(std::string_view text) {
  const auto octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && octal(text[i + 1]) && octal(text[i + 2]) &&
        octal(text[i + 3])) {
      out.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                      (text[i + 3] - '0')));
      i += 3;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

bool lies_under(std::string_view path, std::string_view point) {
  if (point == "/") return true;
  return path.starts_with(point) && (path.size() == point.size() || path[point.size()] == '/');
}

}  // namespace

std::optional<Mount> parse_mount(std::string_view line) {
  // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
  for (int i = 0; i < 2; ++i) next_word(line);
  const std::string_view device = next_word(line);
  const std::string_view root = next_word(line);
  const std::string_view point = next_word(line);
  if (root.empty() || !point.starts_with('/')) return std::nullopt;
  std::string_view word;
  do {
    word = next_word(line);
  } while (!word.empty() && word != "-");
  const std::string_view type = next_word(line);
  if (type.empty()) return std::nullopt;
  next_word(line);  // the source
  return Mount{unescape(root), unescape(point), std::string(type), std::string(next_word(line)),
               std::string(device)};
}

std::optional<std::vector<Mount>> parse_mounts(std::string_view text) {
  std::vector<Mount> mounts;
  while (!text.empty()) {
    if (auto mount = parse_mount(next_line(text))) mounts.push_back(std::move(*mount));
  }
  if (mounts.empty()) return std::nullopt;
  return mounts;
}

const Mount* mount_of(const std::vector<Mount>& mounts, std::string_view path) {
  const Mount* best = nullptr;
  for (const Mount& mount : mounts) {
    if (!lies_under(path, mount.point)) continue;
    if (best == nullptr || mount.point.size() >= best->point.size()) best = &mount;
  }
  return best;
}

bool is_local(std::string_view type) {
  constexpr std::string_view kLocal[] = {
      "bcachefs", "btrfs", "devtmpfs", "erofs", "ext2",    "ext3", "ext4",  "f2fs",     "iso9660",
      "jffs2",    "jfs",   "nilfs2",   "ntfs3", "overlay", "proc", "ramfs", "reiserfs", "rootfs",
      "squashfs", "sysfs", "tmpfs",    "ubifs", "udf",     "xfs",  "zfs"};
  return std::find(std::begin(kLocal), std::end(kLocal), type) != std::end(kLocal);
}

namespace {

// A piece of the file system around it is mounted there: a folder bound over itself, or over one
// above (ProtectHome=, ReadOnlyPaths=, PrivateTmp=).
bool is_own_piece(const std::vector<Mount>& mounts, const Mount& mount) {
  const Mount* around = nullptr;
  for (const Mount& other : mounts) {
    if (other.point == mount.point || !lies_under(mount.point, other.point)) continue;
    if (around == nullptr || other.point.size() >= around->point.size()) around = &other;
  }
  if (around == nullptr || around->device.empty() || around->device != mount.device) return false;
  // Where the folder is in that file system.
  std::string place = around->root == "/" ? "" : around->root;
  place += around->point == "/" ? mount.point : mount.point.substr(around->point.size());
  return lies_under(mount.root, place);
}

MountBehind judge(const std::vector<Mount>& mounts, const Mount* mount, std::string_view path) {
  if (path.empty()) path = "/";
  const bool here = mount != nullptr && mount->point == path;
  return {mount, here && !is_own_piece(mounts, *mount)};
}

}  // namespace

MountBehind mount_behind(const std::vector<Mount>& mounts, std::string_view path,
                         const ReadLink& read_link) {
  constexpr int kMostLinks = 40;  // as the kernel's own limit
  std::string rest(path);
  std::string seen;  // resolved so far, no links in it; "" is the root
  int links = 0;
  const auto here = [&] { return mount_of(mounts, seen.empty() ? "/" : seen); };
  while (!rest.empty()) {
    const Mount* mount = here();
    if (mount == nullptr) return {};
    // The path beyond this point is judged by its name.
    if (!is_local(mount->type)) {
      while (rest.size() > 1 && rest.back() == '/') rest.pop_back();
      const std::string full = rest == "/" ? seen : seen + rest;
      return judge(mounts, mount_of(mounts, full.empty() ? "/" : full), full);
    }
    const size_t start = std::min(rest.find_first_not_of('/'), rest.size());
    const size_t end = std::min(rest.find('/', start), rest.size());
    const std::string name = rest.substr(start, end - start);
    rest.erase(0, end);
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      seen.erase(std::min(seen.rfind('/'), seen.size()));
      continue;
    }
    const std::string next = seen + "/" + name;
    // A mount point is a directory, and a system call on it would already reach the mounted file
    // system.
    const Mount* over = mount_of(mounts, next);
    const bool is_point = over != nullptr && over->point == next;
    const std::optional<std::string> target = is_point ? std::nullopt : read_link(next);
    if (!target) {
      seen = next;
      continue;
    }
    if (++links > kMostLinks) return {};
    rest = *target + rest;
    if (target->starts_with('/')) seen.clear();
  }
  return judge(mounts, here(), seen);
}

}  // namespace nb::health
