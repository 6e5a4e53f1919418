// What most sources include of the standard library, and the unit tests of GoogleTest. A build of
// ./dev that has no compiler cache reads these headers once, and not once for each source, which
// takes two thirds of the time (precompile.py). No source depends on this file: the packages are
// built without it.
#ifdef _GLIBCXX_ASSERTIONS  // as the rooms are compiled, which include this before anything else
#include "base/library_checks.h"
#endif

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#ifdef GTEST_HAS_PTHREAD  // as GoogleTest's users are compiled
#include <gtest/gtest.h>
#endif
