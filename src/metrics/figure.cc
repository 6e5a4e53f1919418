#include "metrics/figure.h"

#include <string>

#include "base/timestamp.h"

namespace nb::metrics {

json::View at(json::View object, std::string_view path) {
  for (;;) {
    const size_t dot = path.find('.');
    object = object[path.substr(0, dot)];
    if (dot == std::string_view::npos) return object;
    path.remove_prefix(dot + 1);
  }
}

// A quotient by a power of ten is the double that people mean, a product is often the one beside
// it.
std::optional<double> number(json::View value, double divisor) {
  if (const auto truth = value.boolean()) return *truth ? 1 : 0;
  const auto number = value.number();
  if (!number) return std::nullopt;
  return *number / divisor;
}

std::optional<double> timestamp(json::View value) {
  std::string scratch;
  const auto text = value.string(scratch);
  const auto time = text ? parse_timestamp(*text) : std::nullopt;
  if (!time) return std::nullopt;
  return static_cast<double>(time->time_since_epoch().count()) / 1e6;
}

void put(std::span<const Figure> figures, json::View answer, Exposition& out) {
  for (const Figure& figure : figures) {
    out.family(figure.kind, figure.name, figure.help);
    const auto value = number(at(answer, figure.path), figure.divisor);
    figure.label.name.empty() ? out.sample(value) : out.sample(value, {figure.label});
  }
}

}  // namespace nb::metrics
