// A configuration as text: the effective one for --print-config, and the documented reference file.
#pragma once

#include <string>

#include "config/load.h"

namespace nb::config {

// TOML that gives the same configuration again, except the passwords, which show as ***. The origin
// follows each value: `interval = "5s"  # from default`.
std::string print(const Loaded& loaded);

// Every key with its documentation, its unit or range, its environment variable, and its default,
// commented out. config/nodebeat.toml is this text.
std::string reference();

}  // namespace nb::config
