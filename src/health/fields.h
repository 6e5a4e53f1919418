// Taking the kernel's text files apart: lines, words, numbers. Every function accepts any bytes,
// and only clean_name allocates.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/text.h"

namespace nb::health {

// Takes the next line off `rest`, without its newline.
std::string_view next_line(std::string_view& rest);

// Takes the next word (up to a space or a tab) off `rest`; empty at the end.
std::string_view next_word(std::string_view& rest);

// Removes the next word from `rest` if it is a number.
template <class T>
std::optional<T> next_number(std::string_view& rest) {
  return parse_number<T>(next_word(rest));
}

// "12.34": digits, and a fraction if there is one; no sign, no exponent. from_chars for double
// would cost tens of kilobytes of program for what the kernel prints as "%lu.%02lu".
std::optional<double> parse_decimal(std::string_view text);

// "0x50005" or "50005".
std::optional<uint32_t> parse_hex(std::string_view text);

// A name that the kernel or a driver gives (sensor, interface, GPU), fit for JSON and for a log:
// without surrounding white space, at most 64 characters, anything but printable ASCII as '?'.
std::string clean_name(std::string_view text);

}  // namespace nb::health
