// --check: checks both sides, and says in words what is wrong and what would be right. Changes
// nothing.
#pragma once

#include "audit/options.h"
#include "terminal/findings.h"

namespace nb::audit {

terminal::Findings check(const Options& options, int stop_fd);

}  // namespace nb::audit
