#include "json/writer.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "base/text.h"

namespace nb::json {

void Writer::separate() {
  if (!first_) out_ += ',';
  first_ = false;
}

Writer& Writer::begin_object() {
  separate();
  out_ += '{';
  first_ = true;
  return *this;
}

Writer& Writer::end_object() {
  out_ += '}';
  first_ = false;
  return *this;
}

Writer& Writer::begin_array() {
  separate();
  out_ += '[';
  first_ = true;
  return *this;
}

Writer& Writer::end_array() {
  out_ += ']';
  first_ = false;
  return *this;
}

Writer& Writer::key(std::string_view name) {
  separate();
  out_ += '"';
  out_ += name;
  out_ += "\":";
  first_ = true;
  return *this;
}

Writer& Writer::key(const char* name) {
  return key(std::string_view(name));
}

Writer& Writer::string(std::string_view text) {
  separate();
  out_ += '"';
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '"' || c == '\\') {
      out_ += '\\';
      out_ += static_cast<char>(c);
    } else if (c == '\n') {
      out_ += "\\n";
    } else if (c == '\t') {
      out_ += "\\t";
    } else if (c == '\r') {
      out_ += "\\r";
    } else if (c == 0) {
      out_ += "\xef\xbf\xbd";  // not as \u0000, which PROTOCOL.md, 1.4, does not allow
    } else if (c < 0x20 || c == 0x7f) {
      constexpr char kHex[] = "0123456789abcdef";
      out_ += "\\u00";
      out_ += kHex[c >> 4];
      out_ += kHex[c & 15];
    } else if (c < 0x80) {
      out_ += static_cast<char>(c);
    } else {
      const size_t bytes = first_character(text.substr(i)).bytes;
      if (bytes > 0) {
        out_ += text.substr(i, bytes);
        i += bytes - 1;
      } else {
        out_ += "\xef\xbf\xbd";
      }
    }
  }
  out_ += '"';
  return *this;
}

Writer& Writer::boolean(bool value) {
  return raw(value ? "true" : "false");
}

Writer& Writer::integer(int64_t value) {
  char text[24];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return raw(std::string_view(text, static_cast<size_t>(end - text)));
}

// By integers: std::to_chars for doubles brings 110 KB of tables, printf the locale's comma.
Writer& Writer::rounded(double value, int decimals) {
  if (!std::isfinite(value)) return null();
  int64_t scale = 1;
  for (int i = 0; i < decimals; ++i) scale *= 10;
  const double scaled = std::fabs(value) * static_cast<double>(scale);
  if (scaled > 9007199254740992.0) {  // 2^53: beyond it there are no decimals to keep
    char text[512];
    const int n = std::snprintf(text, sizeof text, "%.0f", value);
    return raw(std::string_view(text, static_cast<size_t>(n)));
  }
  auto digits = static_cast<int64_t>(scaled);
  // std::round would be all that the daemon needs of libm, which is then mapped into it.
  if (scaled - static_cast<double>(digits) >= 0.5) ++digits;
  char text[40];
  char* end = text;
  if (value < 0 && digits != 0) *end++ = '-';  // never "-0"
  end = std::to_chars(end, text + sizeof text, digits / scale).ptr;
  if (int64_t rest = digits % scale; rest != 0) {
    *end++ = '.';
    for (scale /= 10; rest != 0; rest %= scale, scale /= 10) {
      *end++ = static_cast<char>('0' + rest / scale);
    }
  }
  return raw(std::string_view(text, static_cast<size_t>(end - text)));
}

Writer& Writer::null() {
  return raw("null");
}

Writer& Writer::raw(std::string_view json) {
  separate();
  out_ += json;
  return *this;
}

}  // namespace nb::json
