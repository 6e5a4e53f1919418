// A node's health in words, member by member, for people: the health of an agent of any version.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ctl/json.h"

namespace nb::ctl {

// A label and words for each member. A list has a line for each of its items, of which the first
// has the label.
std::vector<std::pair<std::string, std::string>> health_details(Json health);

}  // namespace nb::ctl
