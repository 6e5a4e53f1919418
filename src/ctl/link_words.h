// The agent's link to Redis in words, from the `link` of agent.stats.
#pragma once

#include <string>

#include "ctl/json.h"
#include "terminal/style.h"

namespace nb::ctl {

using namespace terminal;

struct LinkWords {
  std::string text;  // "connected to Redis at 10.0.0.2:6379, 210 us"
  bool good = false;
};

LinkWords link_words(Json link);
// What to do about the link's `cause`; empty for an unknown one.
std::string link_advice(Json link);

}  // namespace nb::ctl
