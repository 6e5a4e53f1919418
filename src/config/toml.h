// Reads TOML 1.0 into a Value. README.md of this room says what it refuses beyond the standard.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "config/value.h"

namespace nb::config {

// The document's root table. In an error, `name` comes before line and column: "nodebeat.toml:3:7:
// ...". The error repeats names of keys, single characters, and fractions that no double holds. It
// repeats no other text, since a text without its quotes may be a password.
Result<Value> parse_toml(std::string_view text, const std::string& name);

}  // namespace nb::config
