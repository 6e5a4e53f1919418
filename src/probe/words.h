// Text of a probed program, made fit for a log line and a report.
#pragma once

#include <string>
#include <string_view>

#include "base/foreign_text.h"

namespace nb::probe {

// One short line of foreign_text(): a detail is for a glance, and goes with each beat.
inline std::string one_line(std::string_view text, size_t limit = 120) {
  return foreign_text(text, limit);
}

}  // namespace nb::probe
