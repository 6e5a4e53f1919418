// RunNote: a file beside the socket, PATH.run, that is there while an agent runs. A clean stop
// removes it: so one that is found at a start was left by a run that did not end cleanly. Its time
// of change is that of the last beat. The agent holds a lock on it, which tells a living one's.
//
// How a run ended, only who watched it knows: nodebeat.service has it written to PATH.end.
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
  // `socket_path` empty: nothing is noted, and nothing is known of the run before.
  explicit RunNote(const std::string& socket_path);

  // Reads what the run before has left; before begin(). `boot_id` is that of now.
  void look(const std::string& boot_id);
  // The run before, if it did not end cleanly.
  const std::optional<wire::LastRun>& last_run() const { return last_run_; }
  // How many runs in a row did not end cleanly and took less than a minute.
  unsigned quick_ends() const { return quick_ends_; }
  // How long to wait before this run: nothing, but after three such runs 1 s, 2 s, up to 30 s.
  Duration hold() const;

  // This run begins; an error if that could not be noted. Only while the socket is ours.
  Status begin(const Identity& identity, WallTime now);
  void beat() const;
  // It ends cleanly.
  void end();

 private:
  std::string file_, end_file_;
  UniqueFd fd_;
  std::optional<wire::LastRun> last_run_;
  unsigned quick_ends_ = 0;
};

}  // namespace nb::node
