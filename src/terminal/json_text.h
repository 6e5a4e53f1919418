// JSON as text, for what passes through: its digits must not change, so it is never parsed and
// printed again. json/view.h reads it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace nb::terminal {

// "expected a value, at byte 12"; nothing if `text` is one JSON value that an agent takes.
std::optional<std::string> json_fault(std::string_view text);

// `text` as a JSON string, in quotes. Text that is not UTF-8 stays so, and libnodebeat refuses the
// call: json::Writer would put U+FFFD there, and the call would be about another key.
std::string json_quote(std::string_view text);

// Valid JSON without white space between its tokens, and so in one line.
std::string json_compact(std::string_view json);
// The same over several lines, two spaces a level; empty and scalar arrays in one line.
std::string json_indented(std::string_view json);

// Builds an object of raw members: {"a":1,"b":"x"}.
class ObjectText {
 public:
  ObjectText& raw(std::string_view name, std::string_view json);
  ObjectText& text(std::string_view name, std::string_view value);
  ObjectText& integer(std::string_view name, long long value);
  ObjectText& boolean(std::string_view name, bool value);
  bool empty() const { return body_.empty(); }
  std::string str() const { return '{' + body_ + '}'; }

 private:
  std::string body_;
};

}  // namespace nb::terminal
