// nodebeat-gate mcp: the Model Context Protocol over standard input and output, as desktop clients
// start it.
#pragma once

#include "base/log.h"
#include "gate/options.h"

namespace nb::gate {

// Returns an exit code of sysexits.h when the input has ended, the parent has gone, or a signal has
// come. `parent` is getppid() at the start.
int serve_stdio(const Options& options, int parent, const Log& log);

}  // namespace nb::gate
