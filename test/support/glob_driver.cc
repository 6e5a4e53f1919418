// Lines "PATTERN TEXT" in, each in hexadecimal digits; "1" or "0" out: does it match?
#include <iostream>
#include <string>

#include "base/glob.h"

namespace {

std::string from_hex(const std::string& digits) {
  std::string bytes;
  for (size_t i = 1; i < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

}  // namespace

int main() {
  std::string pattern;
  std::string text;
  nb::GlobText held;
  // Each begins with "x", so that an empty one is a word too.
  while (std::cin >> pattern >> text) {
    held.set(from_hex(text));
    std::cout << (held.matches(from_hex(pattern)) ? "1\n" : "0\n");
  }
  return 0;
}
