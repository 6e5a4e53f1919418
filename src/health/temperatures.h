// The temperature sensors, and the contents of their files.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "health/root.h"

namespace nb::health {

// The content of thermal_zone*/temp or temp*_input, thousandths of a degree, in degrees Celsius.
std::optional<double> parse_temperature(std::string_view text);

// False for the values of a part that is switched off: -256 °C on a Jetson.
bool is_plausible(double celsius);

struct TemperatureFile {
  std::string name;  // unique in the list
  std::string path;
  std::string fault;  // the file in which the sensor says that it is broken; empty: none

  bool operator==(const TemperatureFile&) const = default;
};

// The thermal zones, then those hwmon sensors that no zone stands for; at most `most`. Names are
// the zone's type ("cpu-thermal"), or the chip's name and the sensor's label ("nvme Composite").
std::vector<TemperatureFile> find_temperatures(const Root& root, size_t most = 16);

}  // namespace nb::health
