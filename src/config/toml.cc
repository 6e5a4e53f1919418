#include "config/toml.h"

#include "config/toml_scanner.h"

namespace nb::config {
namespace {

using Kind = Value::Kind;
using Made = Value::Made;

// Values are read and freed by recursion, and keys of a table are compared one by one.
constexpr int kMaxDepth = 16;
constexpr int kMaxValues = 4096;

class TomlReader {
 public:
  TomlReader(std::string_view text, const std::string& name) : scanner_(text, name) {}

  Result<Value> read();

 private:
  bool read_lines();
  bool read_header();
  bool read_pair(Value* table, int depth);
  bool read_value(Value& value, int depth);
  bool read_list(Value& list, int depth);
  bool read_inline_table(Value& table, int depth);
  Value* read_member(Value& table, int depth);
  bool take_dot();
  bool may_grow(int depth);
  bool there_already(const Value& value);

  TomlScanner scanner_;
  Value root_;
  Value* section_ = &root_;  // where keys go: the table of the last header
  int section_depth_ = 0;
  int values_ = 0;
  std::string key_;  // the last one that was read
  const char* key_place_ = nullptr;
};

Result<Value> TomlReader::read() {
  root_.made = Made::by_header;
  if (!scanner_.check() || !read_lines()) return scanner_.error();
  return std::move(root_);
}

bool TomlReader::read_lines() {
  for (;;) {
    scanner_.skip_lines();
    if (scanner_.peek() == '\0') return true;
    const bool read = scanner_.take('[') ? read_header() : read_pair(section_, section_depth_);
    if (!read || !scanner_.end_line()) return false;
  }
}

// Behind the first bracket.
bool TomlReader::read_header() {
  const bool of_list = scanner_.take('[');
  Value* value = &root_;
  int depth = 0;
  scanner_.skip_blanks();
  for (;;) {
    value = read_member(*value, ++depth);
    if (value == nullptr) return false;
    if (!take_dot()) break;
    if (value->made == Made::not_yet) {
      value->made = Made::on_the_way;
    } else if (value->made == Made::as_a_whole) {
      return there_already(*value);
    } else if (value->kind == Kind::list) {
      value = &value->items.back();
      ++depth;
    }
  }
  if (!scanner_.take(']')) return scanner_.expected("'.' or ']'");
  if (of_list && !scanner_.take(']')) return scanner_.expected("a second ']'");
  if (of_list) {
    if (value->made == Made::not_yet) {
      value->kind = Kind::list;
    } else if (value->kind != Kind::list || value->made != Made::by_header) {
      return there_already(*value);
    }
    if (!may_grow(++depth)) return false;
    value->made = Made::by_header;
    value = &value->items.emplace_back();
  } else if (value->made != Made::not_yet && value->made != Made::on_the_way) {
    return there_already(*value);
  }
  value->made = Made::by_header;
  value->line = scanner_.line();
  section_ = value;
  section_depth_ = depth;
  return true;
}

// KEY = VALUE, where each dot in the key leads to a table.
bool TomlReader::read_pair(Value* table, int depth) {
  for (;;) {
    Value* value = read_member(*table, ++depth);
    if (value == nullptr) return false;
    if (!take_dot()) {
      if (value->made != Made::not_yet) return there_already(*value);
      if (!scanner_.take('=')) return scanner_.expected("'=' and a value behind the key");
      scanner_.skip_blanks();
      return read_value(*value, depth);
    }
    if (value->made == Made::by_header || value->made == Made::as_a_whole) {
      return there_already(*value);
    }
    value->made = Made::dotted;
    table = value;
  }
}

bool TomlReader::read_value(Value& value, int depth) {
  value.line = scanner_.line();
  value.made = Made::as_a_whole;
  switch (scanner_.peek()) {
    case '"':
    case '\'':
      value.kind = Kind::text;
      return scanner_.read_text(value.text, true);
    case '[':
      return read_list(value, depth);
    case '{':
      return read_inline_table(value, depth);
    default:
      return scanner_.read_scalar(value);
  }
}

bool TomlReader::read_list(Value& list, int depth) {
  list.kind = Kind::list;
  scanner_.advance(1);
  scanner_.skip_lines();
  while (!scanner_.take(']')) {
    if (!may_grow(depth + 1) || !read_value(list.items.emplace_back(), depth + 1)) return false;
    scanner_.skip_lines();
    if (scanner_.peek() == ']') continue;
    if (!scanner_.take(',')) return scanner_.expected("',' or ']'");
    scanner_.skip_lines();
  }
  return true;
}

bool TomlReader::read_inline_table(Value& table, int depth) {
  scanner_.advance(1);
  scanner_.skip_blanks();
  if (scanner_.take('}')) return true;
  do {
    scanner_.skip_blanks();
    if (!read_pair(&table, depth)) return false;
    scanner_.skip_blanks();
  } while (scanner_.take(','));
  return scanner_.take('}') || scanner_.expected("',' or '}' on the line of the '{'");
}

// Reads a key; returns the value of that name in the table, which is made if it is missing. Null
// after a mistake.
Value* TomlReader::read_member(Value& table, int depth) {
  key_.clear();
  key_place_ = scanner_.place();
  const int line = scanner_.line();
  if (!scanner_.read_key(key_)) return nullptr;
  for (Member& member : table.members) {
    if (member.key == key_) return &member.value;
  }
  if (!may_grow(depth)) return nullptr;
  Member& member = table.members.emplace_back();
  member.key = key_;
  member.line = line;
  member.value.line = line;
  return &member.value;
}

bool TomlReader::take_dot() {
  scanner_.skip_blanks();
  if (!scanner_.take('.')) return false;
  scanner_.skip_blanks();
  return true;
}

bool TomlReader::may_grow(int depth) {
  if (depth > kMaxDepth) return scanner_.fail("nested more than %d deep", kMaxDepth);
  return ++values_ <= kMaxValues ||
         scanner_.fail("more than %d values: this is not a configuration", kMaxValues);
}

bool TomlReader::there_already(const Value& value) {
  return scanner_.fail_at(key_place_, "'%s' is there already, from line %d: each is written once",
                          quoted_key(key_).c_str(), value.line);
}

}  // namespace

Result<Value> parse_toml(std::string_view text, const std::string& name) {
  return TomlReader(text, name).read();
}

}  // namespace nb::config
