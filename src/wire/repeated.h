// The mark by which agents tell each other that a message may be in Redis' channel for the second
// time: a recorded event whose connection broke before Redis had confirmed it. Its JSON ends with a
// blank, which means nothing to other programs.
#pragma once

#include <string_view>

namespace nb::wire {

inline constexpr char kRepeated = ' ';

// Takes the mark off, and returns whether it was there.
inline bool take_repeated(std::string_view& payload) {
  constexpr std::string_view kEnd{"} ", 2};
  if (!payload.ends_with(kEnd)) return false;
  payload.remove_suffix(1);
  return true;
}

}  // namespace nb::wire
