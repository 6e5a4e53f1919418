// The value of a JSON number, judged by its digits: the text must be one by the grammar.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace nb::json {

// False if its magnitude is beyond the largest double.
bool fits_double(std::string_view number);

// The nearest double; 0 for a number that is too small. Nothing if it does not fit.
std::optional<double> to_double(std::string_view number);

// An exact whole number with |n| <= 2^53 - 1, however it is written; else nothing.
std::optional<int64_t> to_integer(std::string_view number);

}  // namespace nb::json
