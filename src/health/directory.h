// Listing directories of /sys.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nb::health {

// The numbers N of the entries `prefix`N`suffix` of a directory, in ascending order ("hwmon10"
// after "hwmon2"). Empty if there is no such directory.
std::vector<unsigned> numbered_entries(const std::string& directory, std::string_view prefix,
                                       std::string_view suffix = "");

// The names of all entries but "." and "..", in no order.
std::vector<std::string> entries(const std::string& directory);

bool exists(const std::string& path);

}  // namespace nb::health
