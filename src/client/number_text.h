// Doubles and integers as JSON text. A double becomes the shortest decimal that reads back as the
// same double, in the form of Python's json.dumps ("0.1", "1.0", "-0.0", "1e-05", "1e+16"), so that
// the values in Redis look as they always have. Pure; no allocation, no locale.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nb::client {

// The longest number: "-2.2250738585072014e-308".
constexpr size_t kNumberBytes = 24;

// Writes `value` to `out`, which has kNumberBytes, and returns the end. NaN and infinities become
// null, since JSON has no word for them.
char* write_number(char* out, double value);

char* write_integer(char* out, int64_t value);  // at most 20 bytes

}  // namespace nb::client
