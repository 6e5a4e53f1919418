// How full the configured file systems are. It never waits for one that hangs.
//
// A file system on a local disk is asked by statvfs on the loop's thread: the kernel answers from
// memory. Any other (NFS, CIFS, FUSE, automounts, unknown ones) is asked aside, one question at a
// time, at each sample; its answer is for the next sample. A file system that has not answered by
// then, that fails, or that is not mounted has no figure, but a reason.
#pragma once

#include <sys/statvfs.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "health/aside.h"
#include "health/mounts.h"
#include "health/root.h"
#include "wire/node_health.h"

namespace nb::health {

// statvfs(3), as a function that a test can replace: 0 or an errno. Called from any thread.
using AskFileSystem = std::function<int(const char* path, struct statvfs& answer)>;

int ask_kernel(const char* path, struct statvfs& answer);

// As df(1) counts: used / (used + available to users); blocks kept for root are in neither.
double percent_used(const struct statvfs& answer);

class DiskReader {
 public:
  DiskReader(uv::Loop& loop, const Log& log, const Root& root,
             const std::vector<std::string>& paths, AskFileSystem ask);

  // Decides again how each path is asked. Call it when the mount table has changed, and at
  // intervals, since links may point elsewhere. With an unreadable table (empty) all are asked
  // aside.
  void mounts_are(const std::vector<Mount>& mounts);

  // Fills `out` with the file systems in the configured order, and returns the fullest; nothing if
  // none has a figure.
  std::optional<double> read(MonoTime now, std::vector<wire::DiskUse>& out);

 private:
  struct Answer {
    int error = 0;
    struct statvfs space {};
  };
  struct Disk {
    std::string path;  // as configured
    std::string real;  // under the root
    bool local = false;
    bool mounted = true;
    std::string problem;  // why there is no figure: already in the log
    std::optional<double> percent;
    std::unique_ptr<Aside> aside;
    std::shared_ptr<Answer> answer;  // the aside thread's while a question is open
  };

  void ask_aside(Disk& disk, MonoTime now);
  void take(Disk& disk, const Answer& answer);
  void complain(Disk& disk, const char* problem);

  uv::Loop& loop_;
  const Log& log_;
  const Root root_;
  const AskFileSystem ask_;
  std::vector<Disk> disks_;
};

}  // namespace nb::health
