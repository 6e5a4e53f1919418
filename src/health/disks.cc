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
    const Mount* mount = mount_behind(mounts, disk.path, read_link);
    disk.local = mount != nullptr && is_local(mount->type);
  }
}

void DiskReader::take(Disk& disk, const Answer& answer) {
  if (answer.error == 0) {
    disk.percent = percent_used(answer.space);
    if (disk.complained) log_.info(LogAbout(disk.path), "disk %s answers again", disk.path.c_str());
    disk.complained = false;
    return;
  }
  disk.percent.reset();
  if (disk.complained) return;
  disk.complained = true;
  log_.warning(LogAbout(disk.path), "disk %s: %s: it is left out", disk.path.c_str(),
               std::strerror(answer.error));
}

void DiskReader::ask_aside(Disk& disk, MonoTime now) {
  if (!disk.aside) {
    disk.aside = std::make_unique<Aside>(loop_, log_, "disk " + disk.path);
    disk.answer = std::make_shared<Answer>();
  }
  if (disk.aside->answered(now)) take(disk, *disk.answer);
  if (!disk.aside->idle() || (disk.asked_before && now - disk.asked < kRemoteInterval)) return;
  disk.asked_before = true;
  disk.asked = now;
  disk.aside->ask(now, [ask = ask_, path = disk.real, answer = disk.answer] {
    answer->error = ask(path.c_str(), answer->space);
  });
}

double DiskReader::read(MonoTime now, std::vector<wire::DiskUse>& out) {
  double fullest = 0;
  size_t count = 0;
  for (Disk& disk : disks_) {
    if (disk.local) {
      Answer answer;
      answer.error = ask_(disk.real.c_str(), answer.space);
      take(disk, answer);
    } else {
      ask_aside(disk, now);
    }
    if (!disk.percent) continue;
    if (count == out.size()) out.resize(count + 1);
    out[count].path = disk.path;
    out[count].percent = *disk.percent;
    ++count;
    fullest = std::max(fullest, *disk.percent);
  }
  out.resize(count);
  return fullest;
}

}  // namespace nb::health
