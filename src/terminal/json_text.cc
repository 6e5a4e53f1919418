#include "terminal/json_text.h"

#include "base/text.h"
#include "json/guard.h"
#include "json/view.h"

namespace nb::terminal {
namespace {

// The bytes of the string token that begins at `at`, quotes included.
std::string_view string_token(std::string_view json, size_t at) {
  size_t end = at + 1;
  while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
  return json.substr(at, end + 1 - at);
}

}  // namespace

std::optional<std::string> json_fault(std::string_view text) {
  const json::Fault fault = json::Guard().check(text);
  if (fault.reason == nullptr) return std::nullopt;
  return format("%s, at byte %zu", fault.reason, fault.offset + 1);
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
  json::append_compact(json::View::of(json), out);
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
      // The numbers of an arm's joints belong into one line.
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
