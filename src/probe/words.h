// Texts that came from elsewhere, made fit for a log line and a report.
#pragma once

#include <string>
#include <string_view>

namespace nb::probe {

// One line of valid UTF-8: control characters become spaces, bad bytes '?', and what is longer than
// `limit` bytes ends in "...".
std::string one_line(std::string_view text, size_t limit = 120);

}  // namespace nb::probe
