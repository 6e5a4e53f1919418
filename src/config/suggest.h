// What a user probably meant by an unknown name. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/nearest.h"

namespace nb::config {

// "; did you mean 'interval'?" or nothing, for a key that doesn't exist. `section` may be "".
std::string suggest_key(std::string_view section, std::string_view name);
// The same for a section.
std::string suggest_section(std::string_view name);

}  // namespace nb::config
