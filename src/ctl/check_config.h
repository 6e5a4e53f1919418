// Runs `nodebeatd --check-config`.
#pragma once

#include <string>
#include <string_view>

#include "ctl/doctor_rules.h"

namespace nb::ctl {

// The file of the agent that listens at `socket`, as far as its name shows it; empty: it has none.
std::string usual_config(std::string_view socket);

// Checks as this user. If `file` is empty, the defaults hold.
ConfigCheck check_config(const std::string& file);

}  // namespace nb::ctl
