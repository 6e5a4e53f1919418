// The agent's link to Redis in words, from the `link` of agent.stats.
#pragma once

#include <string>

#include "ctl/json.h"
#include "ctl/style.h"

namespace nb::ctl {

struct LinkWords {
  std::string text;  // "connected to redis://..., 0.21 ms"
  bool good = false;
};

LinkWords link_words(Json link);
// What a trouble's name means and what to do about it; empty for an unknown one.
std::string trouble_advice(std::string_view trouble);

}  // namespace nb::ctl
