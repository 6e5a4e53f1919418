// The figures of one GPU at one moment.
#pragma once

#include <optional>
#include <string>

namespace nb::health {

struct GpuReading {
  std::string name;
  std::optional<double> percent;         // nothing: this GPU does not report it
  std::optional<double> memory_percent;  // nothing: it shares the machine's memory
};

}  // namespace nb::health
