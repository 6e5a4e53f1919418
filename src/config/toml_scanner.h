// TomlScanner: reads the words of a TOML document, from front to back: keys, texts, numbers, and
// the characters between them. toml.cc makes tables of them.
//
// Functions that return bool return false after a mistake; the first mistake is kept, with its
// place.
#pragma once

#include <cstdarg>
#include <string>
#include <string_view>

#include "base/result.h"
#include "config/value.h"

namespace nb::config {

class TomlScanner {
 public:
  TomlScanner(std::string_view text, const std::string& name);

  // Whether the whole text is UTF-8 without control characters. Everything below relies on that.
  bool check();

  // The character `ahead` of the next one; NUL, which no document contains, at the end.
  char peek(size_t ahead = 0) const { return ahead < rest_.size() ? rest_[ahead] : '\0'; }
  void advance(size_t bytes) { rest_.remove_prefix(bytes); }
  bool take(char c);
  void skip_blanks();
  // Blanks, comments, and ends of lines.
  void skip_lines();
  // Goes on to the end of the line, where only a comment may follow.
  bool end_line();

  bool read_key(std::string& key);
  // A text in quotes; in three of them it may have several lines.
  bool read_text(std::string& text, bool may_have_lines);
  // A number, true, false, or a date.
  bool read_scalar(Value& value);

  // Of the next character.
  int line();
  const char* place() const { return rest_.data(); }

  bool expected(const char* what);
  [[gnu::format(printf, 2, 3)]] bool fail(const char* format, ...);
  [[gnu::format(printf, 3, 4)]] bool fail_at(const char* place, const char* format, ...);
  const Error& error() const { return error_; }

 private:
  bool read_escape(std::string& text, bool may_have_lines);
  bool read_date();
  bool read_number(Value& value);
  bool read_integer(int base, Value& value);
  bool read_digits(int base, std::string& digits);
  bool take_form(std::string_view form);
  std::string seen() const;
  void note(const char* place, const std::string& message);

  std::string_view text_;
  std::string_view rest_;
  const std::string& name_;
  const char* counted_to_;  // where line_ is right
  int line_ = 1;
  Error error_;
};

}  // namespace nb::config
