// Pressure stall information: /proc/pressure/{cpu,memory,io} (kernel: accounting/psi.rst).
#pragma once

#include <optional>
#include <string_view>

namespace nb::health {

// The avg10 figures, percent. `full` is missing for the CPU before Linux 5.13.
struct Stall {
  double some = 0;
  std::optional<double> full;
};

std::optional<Stall> parse_pressure(std::string_view text);

}  // namespace nb::health
