#include "ctl/duration.h"

#include <chrono>

#include "config/units.h"

namespace nb::ctl {

std::optional<int64_t> parse_duration(std::string_view text) {
  const std::string_view digits = text.substr(0, text.find_first_not_of("0123456789"));
  const std::string_view unit = text.substr(digits.size());
  std::string written(digits);
  written += unit.empty() ? "s" : unit == "m" ? "min" : unit;
  const auto duration = config::parse_duration(written);
  if (!duration) return std::nullopt;
  const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(*duration);
  return whole == *duration ? std::optional<int64_t>(whole.count()) : std::nullopt;
}

}  // namespace nb::ctl
