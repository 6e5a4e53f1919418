// What somebody probably meant by a name that doesn't exist. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace nb::config {

// "; did you mean 'interval'?" or nothing, for a key that doesn't exist. `section` may be "".
std::string suggest_key(std::string_view section, std::string_view name);
// The same for a section.
std::string suggest_section(std::string_view name);
// The best of `candidates` if it is near enough to `word` to have been meant, else "".
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace nb::config
