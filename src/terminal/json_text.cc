#include "terminal/json_text.h"

#include "terminal/text.h"

namespace nb::terminal {
namespace {

constexpr int kDepth = 64;  // PROTOCOL.md, 1.4

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Walks over one value. The first fault stops it; then `fault` says what was expected.
struct Walker {
  std::string_view text;
  size_t at = 0;
  const char* fault = nullptr;

  char peek() const { return at < text.size() ? text[at] : '\0'; }
  bool fail(const char* expected) {
    if (fault == nullptr) fault = expected;
    return false;
  }
  void space() {
    while (at < text.size() && is_space(text[at])) ++at;
  }
  bool word(std::string_view expected) {
    if (text.substr(at, expected.size()) != expected) return fail("expected a value");
    at += expected.size();
    return true;
  }
  bool digits() {
    if (!is_digit(peek())) return fail("expected a digit");
    while (is_digit(peek())) ++at;
    return true;
  }
  bool number() {
    if (peek() == '-') ++at;
    if (peek() == '0') {
      ++at;
      if (is_digit(peek())) return fail("a number must not begin with 0");
    } else if (!digits()) {
      return false;
    }
    if (peek() == '.') {
      ++at;
      if (!digits()) return false;
    }
    if (peek() == 'e' || peek() == 'E') {
      ++at;
      if (peek() == '+' || peek() == '-') ++at;
      if (!digits()) return false;
    }
    return true;
  }
  bool string() {
    for (++at; at < text.size(); ++at) {
      const auto c = static_cast<unsigned char>(text[at]);
      if (c == '"') {
        ++at;
        return true;
      }
      if (c < 0x20)
        return fail("a control character in a string has to be written as \\n or \\u00XX");
      if (c != '\\') continue;
      ++at;
      if (peek() == 'u') {
        for (int i = 0; i < 4; ++i) {
          ++at;
          const char h = peek();
          if (!is_digit(h) && !((h | 0x20) >= 'a' && (h | 0x20) <= 'f')) {
            return fail("expected four hexadecimal digits");
          }
        }
      } else if (peek() == '\0' ||
                 std::string_view("\"\\/bfnrt").find(peek()) == std::string_view::npos) {
        return fail("no such escape");
      }
    }
    return fail("the string has no end");
  }
  bool members(char close, int depth, bool named) {
    ++at;
    space();
    if (peek() == close) {
      ++at;
      return true;
    }
    while (true) {
      space();
      if (named) {
        if (peek() != '"') return fail("expected a name in quotes");
        if (!string()) return false;
        space();
        if (peek() != ':') return fail("expected ':'");
        ++at;
      }
      if (!value(depth + 1)) return false;
      space();
      if (peek() == close) {
        ++at;
        return true;
      }
      if (peek() != ',') return fail(named ? "expected ',' or '}'" : "expected ',' or ']'");
      ++at;
    }
  }
  bool value(int depth = 0) {
    space();
    if (depth > kDepth) return fail("nested too deep");
    switch (peek()) {
      case '{':
        return members('}', depth, true);
      case '[':
        return members(']', depth, false);
      case '"':
        return string();
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        if (peek() == '-' || is_digit(peek())) return number();
        return fail("expected a value");
    }
  }
};

// The bytes of the string token that begins at `at`, quotes included.
std::string_view string_token(std::string_view json, size_t at) {
  size_t end = at + 1;
  while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
  return json.substr(at, end + 1 - at);
}

}  // namespace

std::optional<std::string> json_fault(std::string_view text) {
  Walker walker{text};
  if (walker.value()) {
    walker.space();
    if (walker.at < text.size()) walker.fail("expected nothing more");
  }
  if (walker.fault == nullptr) return std::nullopt;
  return format("%s, at character %zu", walker.fault, walker.at + 1);
}

bool JsonMembers::next() {
  Walker walker{object_, at_};
  walker.space();
  if (walker.peek() != (at_ == 0 ? '{' : ',')) return false;
  ++walker.at;
  walker.space();
  if (walker.peek() != '"') return false;
  const size_t name = walker.at;
  if (!walker.string()) return false;
  name_ = object_.substr(name + 1, walker.at - name - 2);
  walker.space();
  if (walker.peek() != ':') return false;
  ++walker.at;
  walker.space();
  const size_t value = walker.at;
  if (!walker.value()) return false;
  value_ = object_.substr(value, walker.at - value);
  at_ = walker.at;
  return true;
}

std::string_view json_member(std::string_view object, std::string_view name) {
  for (JsonMembers m(object); m.next();) {
    if (m.name() == name) return m.value();
  }
  return {};
}

std::string json_quote(std::string_view text) {
  std::string out = "\"";
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += text[i];
    } else if (c == '\n') {
      out += "\\n";
    } else if (c < 0x20) {
      out += format("\\u%04x", c);
    } else {
      out += text[i];
    }
  }
  return out += '"';
}

std::string json_compact(std::string_view json) {
  std::string out;
  for (size_t i = 0; i < json.size();) {
    if (json[i] == '"') {
      const std::string_view token = string_token(json, i);
      out += token;
      i += token.size();
    } else {
      if (!is_space(json[i])) out += json[i];
      ++i;
    }
  }
  return out;
}

std::string json_indented(std::string_view json) {
  const std::string compact = json_compact(json);
  const std::string_view in = compact;
  std::string out;
  size_t level = 0;
  const auto line = [&] { out.append(1, '\n').append(2 * level, ' '); };
  for (size_t i = 0; i < in.size();) {
    const char c = in[i];
    if (c == '"') {
      const std::string_view token = string_token(in, i);
      out += token;
      i += token.size();
      continue;
    }
    if (c == '[' || (c == '{' && in.substr(i, 2) == "{}")) {
      // Numbers of an arm's joints belong into one line.
      const size_t end = in.find_first_of("]}[{\"", i + 1);
      if (end != std::string_view::npos && (in[end] == ']' || in.substr(i, 2) == "{}")) {
        for (const char inner : in.substr(i, end + 1 - i)) {
          out += inner;
          if (inner == ',') out += ' ';
        }
        i = end + 1;
        continue;
      }
    }
    if (c == '{' || c == '[') {
      out += c;
      ++level;
      line();
    } else if (c == '}' || c == ']') {
      --level;
      line();
      out += c;
    } else {
      out += c;
      if (c == ',') line();
      if (c == ':') out += ' ';
    }
    ++i;
  }
  return out;
}

ObjectText& ObjectText::raw(std::string_view name, std::string_view json) {
  if (!body_.empty()) body_ += ',';
  body_ += json_quote(name);
  body_ += ':';
  body_ += json;
  return *this;
}
ObjectText& ObjectText::text(std::string_view name, std::string_view value) {
  return raw(name, json_quote(value));
}
ObjectText& ObjectText::integer(std::string_view name, long long value) {
  return raw(name, format("%lld", value));
}
ObjectText& ObjectText::boolean(std::string_view name, bool value) {
  return raw(name, value ? "true" : "false");
}

}  // namespace nb::terminal
