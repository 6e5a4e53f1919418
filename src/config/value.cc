#include "config/value.h"

#include "base/text.h"

namespace nb::config {

std::string in_quotes(std::string_view text, size_t limit) {
  const bool utf8 = is_valid_utf8(text);  // a variable may hold anything
  const bool cut = limit != 0 && text.size() > limit;
  if (cut) {
    // Not in the middle of a UTF-8 sequence.
    while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xc0) == 0x80) --limit;
    text = text.substr(0, limit);
  }
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += format("\\u%04X", byte);
    } else if (byte >= 0x80 && !utf8) {
      out += '?';
    } else {
      out += c;
    }
  }
  out += cut ? "...\"" : "\"";
  return out;
}

std::string quoted_key(std::string_view key) {
  bool bare = !key.empty() && key.size() <= 60;
  for (const char c : key) {
    bare = bare && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_');
  }
  return bare ? std::string(key) : in_quotes(key, 60);
}

std::string describe_kind(const Value& value) {
  switch (value.kind) {
    case Value::Kind::text:
      return "text";
    case Value::Kind::integer:
      return format("integer %lld", static_cast<long long>(value.integer));
    case Value::Kind::number:
      return format("number %g", value.number);
    case Value::Kind::flag:
      return value.flag ? "true" : "false";
    case Value::Kind::list:
      return "a list";
    case Value::Kind::table:
      return "a table";
    case Value::Kind::date:
      return "a date or time";
  }
  return "nothing";
}

std::string describe(const Value& value) {
  return value.kind == Value::Kind::text ? in_quotes(value.text, 60) : describe_kind(value);
}

}  // namespace nb::config
