#include "health/disks.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

namespace nb::health {

int ask_kernel(const char* path, struct statvfs& answer) {
  return ::statvfs(path, &answer) == 0 ? 0 : errno;
}

double percent_used(const struct statvfs& answer) {
  const auto used = static_cast<double>(answer.f_blocks) - static_cast<double>(answer.f_bfree);
  const double usable = used + static_cast<double>(answer.f_bavail);
  return usable > 0 && used > 0 ? 100 * used / usable : 0;
}

DiskReader::DiskReader(uv::Loop& loop, const Log& log, const Root& root,
                       const std::vector<std::string>& paths, AskFileSystem ask)
    : loop_(loop), log_(log), root_(root), ask_(std::move(ask)) {
  disks_.reserve(paths.size());
  for (const std::string& path : paths) {
    Disk& disk = disks_.emplace_back();
    disk.path = path;
    disk.real = root_(path);
  }
}

void DiskReader::mounts_are(const std::vector<Mount>& mounts) {
  const ReadLink read_link = [this](const std::string& path) -> std::optional<std::string> {
    char target[PATH_MAX];
    const ssize_t n = ::readlink(root_(path).c_str(), target, sizeof target);
    if (n < 0) return std::nullopt;
    return std::string(target, static_cast<size_t>(n));
  };
  for (Disk& disk : disks_) {
    const MountBehind behind = mount_behind(mounts, disk.path, read_link);
    disk.local = behind.mount != nullptr && is_local(behind.mount->type);
    // Without a mount in the table this is not known. In a chroot even "/" has none.
    const bool mounted = behind.mount == nullptr || behind.is_point;
    if (mounted && !disk.mounted) {
      disk.problem.clear();
      log_.info(LogAbout(disk.path), "disk %s is mounted", disk.path.c_str());
    }
    disk.mounted = mounted;
  }
}

void DiskReader::complain(Disk& disk, const char* problem) {
  disk.percent.reset();
  if (disk.problem == problem) return;
  disk.problem = problem;
  log_.warning(LogAbout(disk.path), "disk %s: %s: it is left out", disk.path.c_str(), problem);
}

void DiskReader::take(Disk& disk, const Answer& answer) {
  if (answer.error != 0) return complain(disk, std::strerror(answer.error));
  disk.percent = percent_used(answer.space);
  if (disk.problem.empty()) return;
  disk.problem.clear();
  log_.info(LogAbout(disk.path), "disk %s answers again", disk.path.c_str());
}

void DiskReader::ask_aside(Disk& disk, MonoTime now) {
  if (!disk.aside) {
    disk.aside = std::make_unique<Aside>(loop_, log_, "disk " + disk.path);
    disk.answer = std::make_shared<Answer>();
  }
  if (disk.aside->answered(now)) take(disk, *disk.answer);
  if (!disk.aside->fresh()) disk.percent.reset();
  if (!disk.aside->may_ask(now)) return;
  disk.aside->ask(now, [ask = ask_, path = disk.real, answer = disk.answer] {
    answer->error = ask(path.c_str(), answer->space);
  });
}

std::optional<double> DiskReader::read(MonoTime now, std::vector<wire::DiskUse>& out) {
  std::optional<double> fullest;
  out.resize(disks_.size());
  for (size_t i = 0; i < disks_.size(); ++i) {
    Disk& disk = disks_[i];
    if (!disk.mounted) {
      complain(disk, "not mounted");
    } else if (disk.local) {
      Answer answer;
      answer.error = ask_(disk.real.c_str(), answer.space);
      take(disk, answer);
    } else {
      ask_aside(disk, now);
    }
    out[i].path = disk.path;
    out[i].percent = disk.percent;
    out[i].problem = disk.percent ? "" : disk.problem.empty() ? "no answer" : disk.problem;
    if (disk.percent) fullest = std::max(fullest.value_or(0), *disk.percent);
  }
  return fullest;
}

}  // namespace nb::health
