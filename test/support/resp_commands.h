// The words of commands as they were sent: enough to see what is sent and in what order.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>

namespace nb::test {

inline std::string commands(std::string_view resp) {
  std::string words;
  size_t at = 0;
  while (at < resp.size()) {
    const size_t end = resp.find("\r\n", at);
    const std::string_view line = resp.substr(at, end - at);
    at = end + 2;
    if (line[0] == '*') {
      words += words.empty() ? "" : "; ";
    } else if (line[0] == '$') {
      const auto size = static_cast<size_t>(std::atoi(std::string(line.substr(1)).c_str()));
      if (!words.empty() && words.back() != ' ') words += ' ';
      words += resp.substr(at, size);
      at += size + 2;
    }
  }
  return words;
}

}  // namespace nb::test
