// RunNote: a file beside the socket, PATH.run, that exists while an agent runs. A clean stop
// removes the file. So a file that is found at a start was left by a run that did not end cleanly,
// unless a living agent holds the lock on it. The file's time of change is the time of the last
// beat.
//
// Only the service manager knows how a run ended: nodebeat.service writes it to PATH.end.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "node/identity.h"
#include "wire/node_health.h"

namespace nb::node {

class RunNote {
 public:
  // If `socket_path` is empty, nothing is noted, and nothing is known about the run before.
  explicit RunNote(const std::string& socket_path);

  // Reads the note of the previous run. To be called before begin(). `boot_id` is the current one.
  void look(const std::string& boot_id);
  // The run before, if it did not end cleanly.
  const std::optional<wire::LastRun>& last_run() const { return last_run_; }
  // How many runs in a row did not end cleanly and took less than a minute.
  unsigned quick_ends() const { return quick_ends_; }
  // How long to wait before this run: nothing, but after three such runs 1 s, 2 s, up to 30 s.
  Duration hold() const;

  // Notes that this run begins. To be called only while the agent owns the socket.
  Status begin(const Identity& identity, WallTime now);
  void beat() const;
  // Notes that this run ends cleanly.
  void end();

 private:
  std::string file_, end_file_;
  UniqueFd fd_;
  std::optional<wire::LastRun> last_run_;
  unsigned quick_ends_ = 0;
};

}  // namespace nb::node
