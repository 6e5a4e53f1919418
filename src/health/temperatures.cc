#include "health/temperatures.h"

#include <algorithm>

#include "health/directory.h"
#include "health/fields.h"
#include "health/kernel_file.h"

namespace nb::health {

using namespace std::string_view_literals;  // one size and one memcmp to compare with
namespace {

using Files = std::vector<TemperatureFile>;

void add(Files& files, std::string name, std::string path, std::string fault = "") {
  name = clean_name(name);
  if (name.empty()) name = "unnamed";
  const auto taken = [&](const std::string& wanted) {
    return std::any_of(files.begin(), files.end(),
                       [&](const TemperatureFile& file) { return file.name == wanted; });
  };
  std::string unique = name;
  for (int n = 2; taken(unique); ++n) unique = format("%s %d", name.c_str(), n);
  files.push_back({std::move(unique), std::move(path), std::move(fault)});
}

// Zones appear in hwmon too, '-' written as '_' (kernel: thermal_hwmon.c).
std::string hwmon_spelling(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace

std::optional<double> parse_temperature(std::string_view text) {
  const auto thousandths = parse_number<int64_t>(trim(text));
  if (!thousandths) return std::nullopt;
  return static_cast<double>(*thousandths) / 1000;
}

bool is_plausible(double celsius) {
  return celsius > -100 && celsius < 250;
}

Files find_temperatures(const Root& root, size_t most) {
  Files files;
  std::vector<std::string> zones;
  const std::string thermal = root("/sys/class/thermal");
  for (const unsigned n : numbered_entries(thermal, "thermal_zone")) {
    const std::string zone = format("%s/thermal_zone%u", thermal.c_str(), n);
    const std::string type = read_word(zone + "/type");
    // A constant 100 °C on Jetson Nano, TX2 and Xavier: no sensor is behind it.
    if (type == "PMIC-Die"sv) continue;
    zones.push_back(hwmon_spelling(type));
    add(files, type, zone + "/temp");
  }
  const auto has_zone = [&](std::string_view name) {
    return std::find(zones.begin(), zones.end(), name) != zones.end();
  };
  const std::string hwmon = root("/sys/class/hwmon");
  for (const unsigned n : numbered_entries(hwmon, "hwmon")) {
    const std::string chip = format("%s/hwmon%u", hwmon.c_str(), n);
    const std::string name = read_word(chip + "/name");
    if (has_zone(hwmon_spelling(name))) continue;
    if (name == "coretemp"sv && has_zone("x86_pkg_temp")) continue;
    const std::vector<unsigned> inputs = numbered_entries(chip, "temp", "_input");
    for (const unsigned input : inputs) {
      const std::string label = read_word(format("%s/temp%u_label", chip.c_str(), input));
      if (label.starts_with("Core ")) continue;  // one a core; "Package id 0" is their hottest
      std::string full = name;
      if (!label.empty()) {
        full += " " + label;
      } else if (inputs.size() > 1) {
        full += format(" temp%u", input);
      }
      std::string fault = format("%s/temp%u_fault", chip.c_str(), input);
      if (!exists(fault)) fault.clear();
      add(files, std::move(full), format("%s/temp%u_input", chip.c_str(), input), std::move(fault));
    }
  }
  if (files.size() > most) files.resize(most);
  return files;
}

}  // namespace nb::health
