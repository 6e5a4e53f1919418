// Value: a value from a configuration file or a variable, before its key is known: a TOML document
// reduced to its data and line numbers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nb::config {

struct Member;

struct Value {
  enum class Kind : uint8_t { text, integer, number, flag, list, table, date };
  // How a value was made. This decides what TOML may still add to it (toml.cc).
  enum class Made : uint8_t {
    not_yet,
    on_the_way,  // [a.b] made a
    dotted,      // a.b = 1 made a
    by_header,   // [a] or [[a]]
    as_a_whole,  // a = ...
  };

  Kind kind = Kind::table;
  Made made = Made::not_yet;
  int line = 0;  // 0: not from a file
  std::string text;
  int64_t integer = 0;
  double number = 0;
  bool flag = false;
  std::vector<Value> items;
  std::vector<Member> members;  // of a table, in the order of the file
};

struct Member {
  std::string key;
  int line = 0;
  Value value;
};

// `text`, `integer 5`, `a list`: the kind of the value, for an error message, without the text
// itself.
std::string describe_kind(const Value& value);
// The same with a short text repeated: `"5m"`, `integer 5`.
std::string describe(const Value& value);

// In double quotes, escaped as a TOML basic string; cut after `limit` bytes, if that is not 0.
std::string in_quotes(std::string_view text, size_t limit = 0);

// A key as it may appear in a path: bare where TOML allows that, else quoted and cut.
std::string quoted_key(std::string_view key);

}  // namespace nb::config
