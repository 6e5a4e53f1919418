// redis check: a server's settings beside those of the shipped redis.conf. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "terminal/findings.h"

namespace nb::redis_admin {

using terminal::Findings;

// A warning for each that is not as recommended; `there` is CONFIG GET's. What that does not know,
// and what is the operator's own, is left out.
Findings differing_settings(const std::map<std::string, std::string>& there);

}  // namespace nb::redis_admin
