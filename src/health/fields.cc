#include "health/fields.h"

namespace nb::health {

std::string_view next_line(std::string_view& rest) {
  const size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return line;
}

std::string_view next_word(std::string_view& rest) {
  const size_t start = rest.find_first_not_of(" \t");
  rest.remove_prefix(start == std::string_view::npos ? rest.size() : start);
  const std::string_view word = rest.substr(0, rest.find_first_of(" \t"));
  rest.remove_prefix(word.size());
  return word;
}

std::optional<double> parse_decimal(std::string_view text) {
  const size_t point = text.find('.');
  const auto whole = parse_number<uint64_t>(text.substr(0, point));
  if (!whole) return std::nullopt;
  if (point == std::string_view::npos) return static_cast<double>(*whole);
  const std::string_view digits = text.substr(point + 1);
  const auto fraction = parse_number<uint32_t>(digits);
  if (!fraction) return std::nullopt;
  double scale = 1;
  for (size_t i = 0; i < digits.size(); ++i) scale *= 10;
  return static_cast<double>(*whole) + *fraction / scale;
}

std::optional<uint32_t> parse_hex(std::string_view text) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string clean_name(std::string_view text) {
  std::string name(trim(text).substr(0, 64));
  for (char& c : name) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return name;
}

}  // namespace nb::health
