// The words of commands as they were sent: enough to see what is sent and in what order. Ends with
// "(malformed)" where a server would find something else than a whole command.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>

namespace nb::test {

inline std::string commands(std::string_view resp) {
  std::string words;
  size_t at = 0;
  // The number of a line that begins with `sign`, or -1.
  const auto number = [&](char sign) {
    const size_t end = resp.find("\r\n", at);
    if (end == resp.npos || resp[at] != sign) return -1;
    const std::string digits(resp.substr(at + 1, end - at - 1));
    at = end + 2;
    return std::atoi(digits.c_str());
  };
  while (at < resp.size()) {
    const int count = number('*');
    if (count < 1) return words + "(malformed)";
    if (!words.empty()) words += "; ";
    for (int i = 0; i < count; ++i) {
      const auto size = static_cast<size_t>(number('$'));
      if (size > resp.size() - at || resp.substr(at + size, 2) != "\r\n") {
        return words + "(malformed)";
      }
      if (i > 0) words += ' ';
      words += resp.substr(at, size);
      at += size + 2;
    }
  }
  return words;
}

}  // namespace nb::test
