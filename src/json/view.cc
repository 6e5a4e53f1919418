#include "json/view.h"

#include <cstring>

#include "json/bytes.h"
#include "json/number.h"
#include "json/text.h"

namespace nb::json {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

void skip_space(std::string_view& text) {
  size_t n = 0;
  while (n < text.size() && is_space(text[n])) ++n;
  text.remove_prefix(n);
}

// The place behind the string that begins at `p` with its quote. Looked for is the quote that ends
// it: texts are long more often than they hold escapes.
const char* string_end(const char* p, const char* end) {
  const char* const first = ++p;
  while ((p = static_cast<const char*>(std::memchr(p, '"', static_cast<size_t>(end - p)))) !=
         nullptr) {
    const char* slash = p;
    while (slash > first && slash[-1] == '\\') --slash;
    ++p;
    // After an even number of backslashes: each two are one that is meant.
    if ((p - 1 - slash) % 2 == 0) return p;
  }
  return end;
}

size_t string_end(std::string_view text, size_t at) {
  const char* const end = text.data() + text.size();
  return static_cast<size_t>(string_end(text.data() + at, end) - text.data());
}

// The place behind the array or object that begins at `p`.
const char* container_end(const char* p, const char* end) {
  size_t depth = 0;
  while (p < end) {
    if (end - p >= 8) {
      const uint64_t word = load_eight(p);
      // With these bits set all four brackets are 0x7f, and nothing else is outside strings.
      const uint64_t marks = marks_of(word | all_bytes(0x26), 0x7f) | marks_of(word, '"');
      p += marks == 0 ? 8 : first_mark(marks);
      if (marks == 0) continue;
    }
    const char c = *p;
    if (c == '"') {
      p = string_end(p, end);
      continue;
    }
    ++p;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) return p;
  }
  return end;
}

size_t value_length(std::string_view text) {
  if (text.empty()) return 0;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const char* p = begin;
  if (*p == '"') {
    p = string_end(p, end);
  } else if (*p == '{' || *p == '[') {
    p = container_end(p, end);
  } else {
    while (p < end && *p != ',' && *p != ']' && *p != '}' && !is_space(*p)) ++p;
  }
  return static_cast<size_t>(p - begin);
}

// Without the first and last byte: quotes or brackets.
std::string_view inside(std::string_view raw) {
  return raw.size() < 2 ? std::string_view() : raw.substr(1, raw.size() - 2);
}

std::string_view unescaped(std::string_view text, std::string& scratch) {
  if (text.find('\\') == text.npos) return text;
  scratch.clear();
  append_unescaped(text, scratch);
  return scratch;
}

}  // namespace

View View::of(std::string_view valid_json) {
  skip_space(valid_json);
  while (!valid_json.empty() && is_space(valid_json.back())) valid_json.remove_suffix(1);
  return View(valid_json);
}

View::Type View::type() const {
  if (raw_.empty()) return Type::missing;
  switch (raw_.front()) {
    case 'n':
      return Type::null;
    case 't':
    case 'f':
      return Type::boolean;
    case '"':
      return Type::string;
    case '[':
      return Type::array;
    case '{':
      return Type::object;
    default:
      return Type::number;
  }
}

std::optional<bool> View::boolean() const {
  if (!is(Type::boolean)) return std::nullopt;
  return raw_.front() == 't';
}

std::optional<double> View::number() const {
  return is(Type::number) ? to_double(raw_) : std::nullopt;
}

std::optional<int64_t> View::integer() const {
  return is(Type::number) ? to_integer(raw_) : std::nullopt;
}

std::optional<std::string_view> View::string(std::string& scratch) const {
  if (!is(Type::string)) return std::nullopt;
  return has(Token::kEscaped) ? unescaped(inside(raw_), scratch) : inside(raw_);
}

bool View::string_is(std::string_view text) const {
  if (!is(Type::string)) return false;
  return has(Token::kEscaped) ? equals_escaped(inside(raw_), text) : same(inside(raw_), text);
}

View View::operator[](std::string_view name) const {
  for (const Member& member : members()) {
    if (member.name_is(name)) return member.value;
  }
  return {};
}

Members View::members() const {
  return Members(is(Type::object) ? *this : View());
}

Elements View::elements() const {
  return Elements(is(Type::array) ? *this : View());
}

bool Member::escaped_name_is(std::string_view text) const {
  return equals_escaped(raw_name, text);
}

std::string_view Member::name(std::string& scratch) const {
  return plain ? raw_name : unescaped(raw_name, scratch);
}

Cursor::Cursor(const View& container, bool named) : named_(named) {
  if (container.is_indexed()) {
    next_ = container.token_ + 1;
    end_ = container.token_ + container.token_->span;
    text_ = container.raw_.data() - container.token_->from;
  } else {
    rest_ = inside(container.raw_);
  }
  next();
}

void Cursor::search() {
  skip_space(rest_);
  if (!rest_.empty() && rest_.front() == ',') {
    rest_.remove_prefix(1);
    skip_space(rest_);
  }
  done_ = rest_.empty();
  if (done_) return;
  if (named_) {
    const size_t end = string_end(rest_, 0);
    member_.raw_name = inside(rest_.substr(0, end));
    rest_.remove_prefix(end);
    skip_space(rest_);
    if (!rest_.empty()) rest_.remove_prefix(1);  // the colon
    skip_space(rest_);
  }
  const size_t length = value_length(rest_);
  done_ = length == 0;  // only where no scanner was before: there must be an end to it
  member_.value = View(rest_.substr(0, length));
  rest_.remove_prefix(length);
}

void append_compact(View value, std::string& out) {
  const std::string_view text = value.raw();
  if (!value.has(Token::kSpaced)) {
    out.append(text);
    return;
  }
  size_t from = 0;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      at = string_end(text, at);
    } else if (is_space(text[at])) {
      out.append(text.substr(from, at - from));
      from = ++at;
    } else {
      ++at;
    }
  }
  out.append(text.substr(from));
}

std::string_view compacted(View value, std::string& scratch) {
  if (!value.has(Token::kSpaced)) return value.raw();
  scratch.clear();
  append_compact(value, scratch);
  return scratch;
}

}  // namespace nb::json
