// A Figure says which member of an answer becomes which sample. Tables of figures hold those that
// need no code of their own.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "json/view.h"
#include "metrics/exposition.h"

namespace nb::metrics {

struct Figure {
  Kind kind;
  std::string_view name;  // several rows of one family follow one another
  std::string_view help;
  std::string_view path;  // "link.connects": the member of a member
  double divisor = 1;     // milliseconds, bytes or percent become seconds, bytes, a ratio
  Label label{};
};

inline constexpr double kPercent = 100;
inline constexpr double kMilliseconds = 1e3;
inline constexpr double kMicroseconds = 1e6;

// The member at `path`; missing if there is none.
json::View at(json::View object, std::string_view path);
// A number, or true and false as 1 and 0. Nothing if it is missing, null or something else.
std::optional<double> number(json::View value, double divisor = 1);
// A timestamp of PROTOCOL.md, in seconds since 1970.
std::optional<double> timestamp(json::View value);

// A sample for each row that has a value in `answer`.
void put(std::span<const Figure> figures, json::View answer, Exposition& out);

}  // namespace nb::metrics
