// Finds the name that was probably meant by a name that does not exist. Pure.
#pragma once

#include <span>
#include <string_view>

namespace nb {

// The best of `candidates` if it is similar enough to `word`, else "".
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace nb
