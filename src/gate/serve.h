// nodebeat-gate serve: the service. It keeps one connection to the agent, which all of its doors
// share.
#pragma once

#include "base/log.h"
#include "gate/options.h"

namespace nb::gate {

// Returns an exit code of sysexits.h when the service was asked to end, or could not begin.
int serve(const Options& options, const Log& log);

}  // namespace nb::gate
