// Decimal numbers to doubles, whatever locale the host has set.
#pragma once

#include <string_view>

namespace nb {

// The double nearest to `number`, to the last digit: ±0 if it is too small for one, ±infinity if
// too large. It must be a number as JSON or TOML write it: digits, perhaps a sign, a point, an
// exponent.
double nearest_double(std::string_view number);

}  // namespace nb
