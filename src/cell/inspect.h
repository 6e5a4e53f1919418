// redis.inspect: the server's report about itself.
#pragma once

#include <memory>

#include "base/clock.h"
#include "cell/operation.h"

namespace nb::cell {

std::unique_ptr<Operation> make_inspect_operation(const Clock& clock);

}  // namespace nb::cell
