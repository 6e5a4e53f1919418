// Check: one way to find out whether a program lives. Each probe has one object for all of its
// tries, so the object can remember what saves work (a process id, an MCP era).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/delegate.h"
#include "base/result.h"
#include "probe/spec.h"
#include "uv/loop.h"

namespace nb::probe {

class SideRequests;
class SystemBus;

// The result of one try. `unknown`: the agent could not check (no permission, no descriptor, no
// thread, no bus, no name service), or it is too early to decide (a server that starts). This is
// neither up nor down, and the last verdict stays.
enum class Finding : uint8_t { up, down, unknown };

// How one try ended.
struct Outcome {
  Finding finding = Finding::unknown;
  std::string detail;  // the answer, the fault, or the reason why nothing is known, in words
};

// `error` ended the try: unknown if it says nothing about the target (Fault::blind), else down.
inline Outcome failed(const Error& error) {
  return {error.fault == Fault::blind ? Finding::unknown : Finding::down, error.message};
}

using OnOutcome = Delegate<void(const Outcome&)>;

class Check {
 public:
  virtual ~Check() = default;

  // Begins a try. The outcome comes once, perhaps before this returns, unless give_up() is first.
  // Only when no try is under way.
  virtual void start() = 0;
  // The deadline has passed: ends the try, no outcome follows but the one returned. `limit` is the
  // deadline in words, for a detail such as "no answer within 2 s".
  virtual Outcome give_up(const std::string& limit) = 0;
};

// The deadline came while the name was still being looked up: the name service is silent, and not
// the server.
Outcome not_looked_up(const uv::Target& target, const std::string& limit);

// The things that a check needs from outside. They outlive every check.
struct CheckContext {
  uv::Loop& loop;
  SystemBus& bus;
  SideRequests& side_requests;
  std::string proc_root;  // "/proc"
  std::string version;    // the agent's, as it introduces itself to servers
};

std::unique_ptr<Check> make_check(const CheckContext& context, const ProbeSpec& spec,
                                  OnOutcome on_outcome);

}  // namespace nb::probe
