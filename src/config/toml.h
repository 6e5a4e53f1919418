// Reads TOML into a Value. The only place that knows the TOML library.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "config/value.h"

namespace nb::config {

// The document's root table. `name` stands before line and column in an error:
// "nodebeat.toml:3:7: ..." with the library's own words.
Result<Value> parse_toml(std::string_view text, const std::string& name);

}  // namespace nb::config
