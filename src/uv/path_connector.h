// PathConnector: the path of a Unix socket -> a connected descriptor, never on the loop's thread:
// connect() looks up the path, and a file server that has gone keeps the caller waiting for ever.
// While one connect() hangs there is no second one.
#pragma once

#include <memory>
#include <string>

#include "uv/blocking_call.h"

namespace nb::uv {

// A connected descriptor with O_NONBLOCK, or -errno. A test puts a slow one in its place.
using ConnectPath = int (*)(const std::string& path);
int connect_path(const std::string& path);

class PathConnector {
 public:
  // `on_connected` gets the descriptor, which is its own then, or -errno. It may destroy the
  // connector.
  PathConnector(Loop& loop, Delegate<void(int)> on_connected,
                ConnectPath connect_path = &uv::connect_path);
  PathConnector(const PathConnector&) = delete;
  PathConnector& operator=(const PathConnector&) = delete;

  // The answer comes on a later turn; there is no deadline here. Only one at a time. The error if
  // the system has no thread to give is Fault::blind.
  Status start(const std::string& path);
  // The caller no longer waits: no answer comes, and start() may be called again. If it is for the
  // same path, the answer of a connect() that still runs is its answer.
  void abandon() { wanted_ = false; }
  // An answer is still to come.
  bool waiting() const { return wanted_; }

 private:
  struct Attempt;

  void on_done();

  Delegate<void(int)> on_connected_;
  ConnectPath connect_path_;
  bool wanted_ = false;
  std::shared_ptr<Attempt> attempt_;
  BlockingCall call_;
};

}  // namespace nb::uv
