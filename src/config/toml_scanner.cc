#include "config/toml_scanner.h"

#include <algorithm>

#include "base/text.h"

namespace nb::config {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// check() lets a carriage return through only before a line feed, so it is a blank like others.
bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

bool is_bare(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

}  // namespace

TomlScanner::TomlScanner(std::string_view text, const std::string& name)
    : text_(text), name_(name) {
  if (text_.starts_with(kByteOrderMark)) text_.remove_prefix(kByteOrderMark.size());
  rest_ = text_;
  counted_to_ = text_.data();
}

bool TomlScanner::check() {
  const size_t readable = valid_utf8_prefix(text_);
  for (size_t i = 0; i < readable; ++i) {
    const char c = text_[i];
    if ((static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) || c == '\t' || c == '\n') continue;
    if (c != '\r') {
      return fail_at(&text_[i], "control character: in double quotes \\u%04X stands for it", c);
    }
    if (!text_.substr(i).starts_with("\r\n")) {
      return fail_at(&text_[i], "carriage return without a line feed: lines end in LF or CR LF");
    }
  }
  return readable == text_.size() || fail_at(&text_[readable], "not UTF-8: save it in that form");
}

bool TomlScanner::take(char c) {
  if (peek() != c) return false;
  advance(1);
  return true;
}

void TomlScanner::skip_blanks() {
  while (is_blank(peek())) advance(1);
}

void TomlScanner::skip_lines() {
  do {
    skip_blanks();
    if (peek() == '#') advance(std::min(rest_.find('\n'), rest_.size()));
  } while (take('\n'));
}

bool TomlScanner::end_line() {
  const int before = line();
  skip_lines();
  return rest_.empty() || line() > before || expected("the end of the line");
}

bool TomlScanner::read_key(std::string& key) {
  if (peek() == '"' || peek() == '\'') return read_text(key, false);
  size_t size = 0;
  while (is_bare(peek(size))) ++size;
  if (size == 0) return expected("a key (in quotes, unless it is of a-z, A-Z, 0-9, _ and -)");
  key = rest_.substr(0, size);
  advance(size);
  return true;
}

bool TomlScanner::read_text(std::string& text, bool may_have_lines) {
  const char* begin = place();
  const char quote = peek();
  const bool lines = may_have_lines && peek(1) == quote && peek(2) == quote;
  const size_t width = lines ? 3 : 1;
  advance(width);
  if (lines && (peek() == '\n' || peek() == '\r')) advance(peek() == '\n' ? 1 : 2);
  for (;;) {
    const char c = peek();
    if (c == quote) {
      // Of five quotes the first two belong to the text.
      size_t run = 1;
      while (lines && run < 5 && peek(run) == quote) ++run;
      advance(run);
      if (run >= width) {
        text.append(run - width, quote);
        return true;
      }
      text.append(run, quote);
      continue;
    }
    if (c == '\0' || (c == '\n' && !lines)) {
      return fail_at(begin, "this text does not end%s: expected %.*s behind it",
                     lines ? "" : " on its line", static_cast<int>(width), begin);
    }
    advance(1);
    if (c == '\\' && quote == '"') {
      if (!read_escape(text, lines)) return false;
    } else if (c != '\r') {
      text += c;
    }
  }
}

// The part behind a backslash.
bool TomlScanner::read_escape(std::string& text, bool may_have_lines) {
  constexpr std::string_view kNames = "btnfr\"\\";
  constexpr std::string_view kCharacters = "\b\t\n\f\r\"\\";
  const char c = peek();
  if (const size_t i = kNames.find(c); i != std::string_view::npos) {
    advance(1);
    text += kCharacters[i];
    return true;
  }
  if (c == 'u' || c == 'U') {
    const size_t digits = c == 'u' ? 4 : 8;
    uint32_t code = 0;
    const char* begin = rest_.data() + 1;
    const auto [end, trouble] =
        std::from_chars(begin, begin + std::min(digits, rest_.size() - 1), code, 16);
    if (end != begin + digits || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
      return fail("expected \\%c and %zu hexadecimal digits that name a character", c, digits);
    }
    advance(1 + digits);
    char bytes[4];
    text.append(bytes, put_character(bytes, code));
    return true;
  }
  if (may_have_lines && (is_blank(c) || c == '\n')) {
    skip_blanks();
    if (peek() != '\n') return expected("the end of the line behind a backslash and blanks");
    while (is_blank(peek()) || peek() == '\n') advance(1);
    return true;
  }
  return expected("one of b t n f r u U \" \\ behind a backslash (in single quotes it is itself)");
}

int TomlScanner::line() {
  line_ += static_cast<int>(std::count(counted_to_, place(), '\n'));
  counted_to_ = place();
  return line_;
}

std::string TomlScanner::seen() const {
  if (rest_.empty()) return "the end of the file";
  if (peek() == '\n' || peek() == '\r') return "the end of the line";
  return format("'%.*s'", static_cast<int>(first_character(rest_).bytes), rest_.data());
}

bool TomlScanner::expected(const char* what) {
  return fail("expected %s, saw %s", what, seen().c_str());
}

bool TomlScanner::fail(const char* format, ...) {
  va_list args;
  va_start(args, format);
  note(place(), vformat(format, args));
  va_end(args);
  return false;
}

bool TomlScanner::fail_at(const char* place, const char* format, ...) {
  va_list args;
  va_start(args, format);
  note(place, vformat(format, args));
  va_end(args);
  return false;
}

// A column is a character, not a byte.
void TomlScanner::note(const char* place, const std::string& message) {
  int line = 1;
  int column = 1;
  for (const char* c = text_.data(); c != place; ++c) {
    const bool is_end = *c == '\n';
    line += is_end ? 1 : 0;
    column = is_end ? 1 : column + ((*c & 0xc0) == 0x80 ? 0 : 1);
  }
  error_ = make_error("%s:%d:%d: %s", name_.c_str(), line, column, message.c_str());
}

}  // namespace nb::config
