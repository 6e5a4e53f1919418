// What every fuzz target says of that which has to hold: otherwise the input is kept as a crash.
#pragma once

#include <cstdlib>

namespace nb::fuzz {

inline void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace nb::fuzz
