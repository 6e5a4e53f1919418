// Runs `nodebeatd --check-config`.
#pragma once

#include <string>

#include "ctl/doctor_rules.h"

namespace nb::ctl {

// If `file` is empty, the file is checked that the agent reads by itself.
ConfigCheck check_config(const std::string& file);

}  // namespace nb::ctl
