#include "ipc/fault_words.h"

#include <algorithm>

namespace nb::ipc {

std::string words_for(const json::Fault& fault, std::string_view line) {
  constexpr struct {
    std::string_view word, right;
  } kForeign[] = {
      {"nan", "JSON has no such number: send null, or leave it out"},
      {"inf", "JSON has no such number: send null, or leave it out"},
      {"none", "null is JSON's word for it"},
      {"undefined", "send null, or leave it out"},
      {"true", "JSON has it in small letters"},
      {"false", "JSON has it in small letters"},
      {"'", "JSON has double quotes around a text"},
  };
  std::string words = fault.reason;
  std::string_view there = line.substr(std::min(fault.offset, line.size()));
  if (there.starts_with('-') || there.starts_with('+')) there.remove_prefix(1);
  if (!words.starts_with("expected")) return words;
  for (const auto& foreign : kForeign) {
    const std::string_view head = there.substr(0, foreign.word.size());
    const bool same = std::equal(head.begin(), head.end(), foreign.word.begin(), foreign.word.end(),
                                 [](char a, char b) { return (a | 0x20) == (b | 0x20); });
    if (same && head != "true" && head != "false") return words + "; " + std::string(foreign.right);
  }
  return words;
}

}  // namespace nb::ipc
