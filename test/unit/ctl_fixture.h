// What the unit tests of nodebeatctl have in common: terminals, and moments.
#pragma once

#include <cstdint>
#include <string>

#include "ctl/json.h"
#include "terminal/style.h"

namespace nb::ctl {

using namespace terminal;

inline Style plain(size_t columns = 100) {
  Style style;
  style.utf8 = true;
  style.terminal = true;
  style.columns = columns;
  return style;
}

inline Style coloured(size_t columns = 100) {
  Style style = plain(columns);
  style.colour = true;
  return style;
}

inline int64_t moment(const char* timestamp) {
  const std::string json = '"' + std::string(timestamp) + '"';
  return JsonDocument(json).root().timestamp_us().value_or(-1);
}

}  // namespace nb::ctl
