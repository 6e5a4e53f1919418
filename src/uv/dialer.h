// Dialer: from a Target to a connected Stream: resolve, try the addresses in turn with a head
// start each (RFC 8305, "Happy Eyeballs"), one deadline over all of it, in which each has its turn.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "uv/path_connector.h"
#include "uv/resolver.h"
#include "uv/stream.h"
#include "uv/timer.h"

namespace nb::uv {

enum class DialStage {
  resolving,   // the host name is being looked up
  connecting,  // at least one address is being tried
};

class Dialer {
 public:
  using Answer = Result<std::unique_ptr<Stream>>;

  // The answer comes exactly once for each start(), never before start() has returned, and may
  // destroy the dialer. `on_stage`, if given, is called between resolving and connecting, and may
  // cancel.
  Dialer(Loop& loop, Delegate<void(Answer&)> on_answer, Delegate<void(DialStage)> on_stage = {},
         LookUp look_up = &uv::look_up, ConnectPath connect_path = &uv::connect_path);
  ~Dialer();

  // Only when not dialling(). The deadline covers the look-up too. An error names the target, the
  // last attempt and the system's reason. It is Fault::blind if the dialer learned nothing about
  // the target: the name or the path could not be looked up, or there was no permission, descriptor
  // or port for an attempt.
  void start(const Target& target, Duration deadline);
  // Gives up silently: no answer comes. The next start() waits for a look-up that hangs.
  void cancel();
  bool dialling() const { return dialling_; }
  // The host name is still being looked up.
  bool resolving() const { return dialling_ && addresses_.empty() && target_.unix_path.empty(); }

 private:
  class Attempt;
  void on_resolved(Result<Addresses>& addresses);
  void on_path_connected(int fd);
  void try_next();
  void on_attempt_failed(const Attempt& attempt, int error);
  void on_attempt_connected(Attempt& attempt);
  void succeed(std::unique_ptr<Stream> stream);
  void on_head_start_over();
  void on_deadline();
  void fail(std::string message, bool blind);

  Loop& loop_;
  Delegate<void(Answer&)> on_answer_;
  Delegate<void(DialStage)> on_stage_;
  Target target_;
  bool dialling_ = false;
  bool starting_ = false;
  Addresses addresses_;
  size_t next_ = 0;
  size_t pending_ = 0;
  std::vector<std::unique_ptr<Attempt>> attempts_;
  std::string last_failure_;
  bool blind_ = true;            // no attempt has learned anything about the target
  std::optional<Error> failed_;  // to be reported once start() has returned
  Resolver resolver_;
  PathConnector path_;
  Timer head_start_;
  Timer deadline_;
};

}  // namespace nb::uv
