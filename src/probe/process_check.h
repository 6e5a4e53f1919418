// ProcessCheck: a process lives, by pidfile or by command line.
//
// A process found by its command line is remembered, and only looked for again when it is gone or
// has become another program. All that might be held up (a pidfile on a dead mount, the memory lock
// of a stuck process) is read on a thread of its own; if that does not come back, no second one is
// sent after it.
#pragma once

#include <memory>

#include "probe/check.h"
#include "probe/process_look.h"
#include "uv/blocking_call.h"

namespace nb::probe {

class ProcessCheck final : public Check {
 public:
  ProcessCheck(const CheckContext& context, const ProbeSpec& spec, OnOutcome on_outcome);

  void start() override;
  Outcome give_up(const std::string& limit) override;

 private:
  struct Answer;
  void on_looked();

  const CheckContext& context_;
  const ProbeSpec& spec_;
  OnOutcome on_outcome_;
  bool trying_ = false;
  ProcessId process_;  // pid 0: none is known
  std::shared_ptr<Answer> answer_;
  uv::BlockingCall call_;
};

}  // namespace nb::probe
