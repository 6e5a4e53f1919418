// What most sources include of the standard library. The build of ./dev demo reads these headers
// once, and not once for each source, which takes two thirds of the time (precompile.py). No source
// depends on this file.
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
