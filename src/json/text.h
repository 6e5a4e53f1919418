// The inside of a JSON string, as a scanner has accepted it: escapes undone, a character at a time
// or whole.
#pragma once

#include <string>
#include <string_view>

namespace nb::json {

// Takes the next character from the front of `escaped`, and returns it as 1 to 4 bytes of UTF-8,
// which are in `escaped`'s own text or in `buffer`. Bytes that are not escaped come one by one.
std::string_view next_character(std::string_view& escaped, char (&buffer)[4]);

// Appends the unescaped text of `escaped`.
void append_unescaped(std::string_view escaped, std::string& out);

// <0, 0 or >0: the order of the two texts' bytes, both escaped. Never allocates.
int compare_escaped(std::string_view a, std::string_view b);

// Whether `escaped` means `text`. Never allocates.
bool equals_escaped(std::string_view escaped, std::string_view text);

}  // namespace nb::json
