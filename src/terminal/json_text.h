// JSON as text, for values that only pass through: their digits must not change, so they are never
// parsed and printed again. json/view.h reads them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace nb::terminal {

// The mistake, as "expected a value, at byte 12". Nothing if `text` is one JSON value that an agent
// accepts.
std::optional<std::string> json_fault(std::string_view text);

// `text` as a JSON string, in quotes. Bytes that are not UTF-8 stay, so that libnodebeat refuses
// the call. json::Writer would write U+FFFD instead, and the call would concern another key.
std::string json_quote(std::string_view text);

// Valid JSON without white space between its tokens, so that it is one line.
std::string json_compact(std::string_view json);
// Valid JSON over several lines, indented by two spaces a level. Arrays that are empty, or hold
// only scalars, stay in one line.
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
