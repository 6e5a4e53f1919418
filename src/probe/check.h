// Check: one way of finding out whether something lives. One object a probe, used for all of its
// tries, so that it may remember what spares work (a process id, an MCP era).
#pragma once

#include <memory>
#include <string>

#include "base/delegate.h"
#include "probe/spec.h"
#include "uv/loop.h"

namespace nb::probe {

class SystemBus;

// How one try ended.
struct Outcome {
  bool up = false;
  std::string detail;  // what answered, or what is wrong, in words
};

using OnOutcome = Delegate<void(const Outcome&)>;

class Check {
 public:
  virtual ~Check() = default;

  // Begins a try. The outcome comes once, perhaps before this returns, unless give_up() is first.
  // Only when no try is under way.
  virtual void start() = 0;
  // The deadline has passed: ends the try, no outcome follows. Returns how far it got, to be read
  // on by "within 2 s": "no answer", "only 17 of 200 bytes".
  virtual std::string give_up() = 0;
};

// What checks need of their surroundings; lives longer than they.
struct CheckContext {
  uv::Loop& loop;
  SystemBus& bus;
  std::string proc_root;  // "/proc"
  std::string version;    // the agent's, as it introduces itself to servers
};

std::unique_ptr<Check> make_check(const CheckContext& context, const ProbeSpec& spec,
                                  OnOutcome on_outcome);

}  // namespace nb::probe
