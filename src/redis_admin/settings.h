// Compares a server's settings with those of the shipped redis.conf. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "terminal/findings.h"

namespace nb::redis_admin {

using terminal::Findings;

// A warning for each setting that is not as recommended. `there` are the answers to CONFIG GET.
// Settings that the server does not know, and those that are the operator's own, are left out.
Findings differing_settings(const std::map<std::string, std::string>& there);

}  // namespace nb::redis_admin
