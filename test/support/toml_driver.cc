// Documents in, one a line, each in hexadecimal digits; what they hold out, one a line: "refused:
// MESSAGE", or the root table, with keys sorted and texts in hexadecimal digits, such as
// {x61=[i1,f3ff0000000000000,btrue,x68,date]}.
#include <algorithm>
#include <bit>
#include <iostream>
#include <string>

#include "base/text.h"
#include "config/toml.h"

namespace {

using nb::config::Member;
using nb::config::Value;

std::string from_hex(const std::string& digits) {
  std::string bytes;
  for (size_t i = 1; i < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

std::string to_hex(const std::string& bytes) {
  std::string digits = "x";
  for (const char c : bytes) digits += nb::format("%02x", static_cast<unsigned char>(c));
  return digits;
}

std::string in_brackets(const std::vector<std::string>& parts, const char* brackets) {
  std::string all(1, brackets[0]);
  for (const std::string& part : parts) all += (all.size() > 1 ? "," : "") + part;
  return all + brackets[1];
}

std::string plain(const Value& value) {
  std::vector<std::string> parts;
  switch (value.kind) {
    case Value::Kind::text:
      return to_hex(value.text);
    case Value::Kind::integer:
      return "i" + std::to_string(value.integer);
    case Value::Kind::number:
      return value.number != value.number
                 ? "nan"
                 : nb::format("f%016llx", std::bit_cast<unsigned long long>(value.number));
    case Value::Kind::flag:
      return value.flag ? "btrue" : "bfalse";
    case Value::Kind::list:
      for (const Value& item : value.items) parts.push_back(plain(item));
      return in_brackets(parts, "[]");
    case Value::Kind::table:
      for (const Member& member : value.members) {
        parts.push_back(to_hex(member.key) + "=" + plain(member.value));
      }
      std::sort(parts.begin(), parts.end());
      return in_brackets(parts, "{}");
    case Value::Kind::date:
      return "date";
  }
  return {};
}

}  // namespace

int main() {
  std::string line;
  // Each begins with "x", so that an empty one is a line too.
  while (std::getline(std::cin, line)) {
    const nb::Result<Value> root = nb::config::parse_toml(from_hex(line), "f");
    std::cout << (root ? plain(*root) : "refused: " + root.error().message) << '\n';
  }
  return 0;
}
