#include "health/pressure.h"

#include "health/fields.h"

namespace nb::health {
namespace {

// The avg10 of "some avg10=0.12 avg60=..." if the line is that of `kind`.
std::optional<double> average(std::string_view line, std::string_view kind) {
  if (next_word(line) != kind) return std::nullopt;
  std::string_view word = next_word(line);
  if (!word.starts_with("avg10=")) return std::nullopt;
  word.remove_prefix(6);
  return parse_decimal(word);
}

}  // namespace

std::optional<Stall> parse_pressure(std::string_view text) {
  const auto some = average(next_line(text), "some");
  if (!some) return std::nullopt;
  return Stall{*some, average(next_line(text), "full")};
}

}  // namespace nb::health
