// Looking at one thing in Redis: health.get, redis.inspect.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "agent/operation.h"
#include "base/clock.h"

namespace nb::agent {

// `not_found` if the node was never seen.
std::unique_ptr<Operation> make_health_operation(const Clock& clock, std::string_view node);
std::unique_ptr<Operation> make_inspect_operation(const Clock& clock);

// {"node_id":...,"health":...,"age_ms":...}; `health` is JSON or empty for none.
std::string health_result(std::string_view node, std::string_view health, WallTime now);

}  // namespace nb::agent
