// JSON as text, for what passes through: its digits must not change, so it is never parsed and
// printed again. Checked strictly by RFC 8259.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace nb::terminal {

// "expected a value, at character 12"; nothing if `text` is one JSON value and white space.
std::optional<std::string> json_fault(std::string_view text);

// The bytes of the member `name` of a valid JSON object; empty if it has none. The view is into
// `object`.
std::string_view json_member(std::string_view object, std::string_view name);

// Goes through the members of a valid JSON object, in one pass; what is no object has none:
//     for (JsonMembers m(object); m.next();) use(m.name(), m.value());
// Names are as written, between the quotes. The views are into the object.
class JsonMembers {
 public:
  explicit JsonMembers(std::string_view object) : object_(object) {}
  bool next();
  std::string_view name() const { return name_; }
  std::string_view value() const { return value_; }

 private:
  std::string_view object_;
  size_t at_ = 0;  // behind the last member; 0: before the first
  std::string_view name_, value_;
};

// `text` as a JSON string, in quotes.
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
