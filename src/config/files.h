// Which files a configuration is read from: one, and the operator's own beside it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace nb::config {

// The largest file that is read.
inline constexpr size_t kMaxFile = 256 * 1024;

// "nodebeat.d" for "nodebeat.toml": the folder of the files that add to it.
std::string folder_beside(const std::string& file);

// `file` and then the files of its folder whose names end in ".toml" and do not begin with a dot,
// by the bytes of their names: the order in which they are read, so that the later one wins. If
// `file` itself is missing it is left out where the folder is there; otherwise it is named all the
// same if it is `required`, so that reading it says what is wrong.
Result<std::vector<std::string>> files_of(const std::string& file, bool required);

}  // namespace nb::config
