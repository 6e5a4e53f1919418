// Decimal numbers to doubles, whatever locale the host has set.
#pragma once

#include <string_view>

namespace nb {

// The double nearest to `number`: ±0 if the number is too small for a double, ±infinity if it is
// too large. `number` must have the form of a number in JSON or TOML: digits, perhaps a sign, a
// point, an exponent.
double nearest_double(std::string_view number);

}  // namespace nb
