#include "health/system.h"

#include "health/fields.h"

namespace nb::health {

std::optional<Load> parse_load(std::string_view text) {
  std::string_view line = next_line(text);
  const auto one = parse_decimal(next_word(line));
  const auto five = parse_decimal(next_word(line));
  const auto fifteen = parse_decimal(next_word(line));
  if (!one || !five || !fifteen) return std::nullopt;
  return Load{*one, *five, *fifteen};
}

std::optional<int64_t> parse_uptime(std::string_view text) {
  std::string_view line = next_line(text);
  const auto seconds = parse_decimal(next_word(line));
  if (!seconds || *seconds > 1e12) return std::nullopt;
  return static_cast<int64_t>(*seconds);
}

std::optional<std::string_view> parse_boot_id(std::string_view text) {
  const std::string_view id = trim(text);
  if (id.size() != 36) return std::nullopt;
  for (size_t i = 0; i < id.size(); ++i) {
    const bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
    const bool digit = (id[i] >= '0' && id[i] <= '9') || (id[i] >= 'a' && id[i] <= 'f');
    if (hyphen ? id[i] != '-' : !digit) return std::nullopt;
  }
  return id;
}

}  // namespace nb::health
