#include "client/json_members.h"

#include <cstdint>
#include <cstring>

#include "base/hash.h"
#include "base/hex.h"
#include "base/text.h"
namespace nb::client {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// The length of the string that `text` begins with, quotes included.
size_t string_size(const char* text, size_t size) {
  size_t i = 1;
  while (i < size && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
  return i < size ? i + 1 : size;
}

size_t value_size(const char* text, size_t size) {
  if (size == 0) return 0;
  if (text[0] == '"') return string_size(text, size);
  size_t depth = 0;
  size_t i = 0;
  while (i < size) {
    const char c = text[i];
    if (c == '"') {
      i += string_size(text + i, size - i);
      continue;
    }
    if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return i;
      if (--depth == 0) return i + 1;
    } else if (depth == 0 && (c == ',' || c == ':' || is_space(c))) {
      return i;
    }
    ++i;
  }
  return size;
}

std::string_view tail(std::string_view text, size_t from) {
  return from < text.size() ? std::string_view(text.data() + from, text.size() - from)
                            : std::string_view();
}

// Compares the number with the largest double, 1.7976931348623157e308.
bool in_range(const char* text, size_t size) {
  char digits[17];
  int count = 0;
  long exponent = -1;
  bool leading = true;
  bool fraction = false;
  size_t i = text[0] == '-' ? 1 : 0;
  for (; i < size && text[i] != 'e' && text[i] != 'E'; ++i) {
    if (text[i] == '.') {
      fraction = true;
      continue;
    }
    if (leading && text[i] == '0') {
      if (fraction) --exponent;
      continue;
    }
    leading = false;
    if (!fraction) ++exponent;
    if (count < 17) digits[count++] = text[i];
  }
  if (leading) return true;
  if (i < size) {
    ++i;
    const bool negative = text[i] == '-';
    if (text[i] == '-' || text[i] == '+') ++i;
    long power = 0;
    for (; i < size && power < 1000000; ++i) power = power * 10 + (text[i] - '0');
    exponent += negative ? -power : power;
  }
  if (exponent != 308) return exponent < 308;
  while (count < 17) digits[count++] = '0';
  return std::memcmp(digits, "17976931348623157", 17) <= 0;
}

uint32_t hex4(const char* text) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 4 | static_cast<uint32_t>(hex_digit(text[i]));
  return value;
}

// Writes the first character of the string's inside at `in`: a byte, or an unescaped character.
char* put_unescaped(char* out, const char*& in) {
  if (*in != '\\') {
    *out++ = *in++;
    return out;
  }
  const char c = in[1];
  in += 2;
  switch (c) {
    case 'b':
      *out++ = '\b';
      break;
    case 'f':
      *out++ = '\f';
      break;
    case 'n':
      *out++ = '\n';
      break;
    case 'r':
      *out++ = '\r';
      break;
    case 't':
      *out++ = '\t';
      break;
    case 'u': {
      uint32_t code = hex4(in);
      in += 4;
      if (code >= 0xd800 && code < 0xdc00) {  // the scanner has seen the other half
        code = 0x10000 + ((code - 0xd800) << 10) + (hex4(in + 2) - 0xdc00);
        in += 6;
      }
      return put_character(out, code);
    }
    default:
      *out++ = c;
  }
  return out;
}

// Of the unescaped name. Two different names have the same hash once in 2^64.
uint64_t hash_of_name(std::string_view name) {
  uint64_t hash = kHashBegin;
  const char* in = name.data();
  const char* const end = in + name.size();
  while (in < end) {
    char bytes[4];
    const char* const bytes_end = put_unescaped(bytes, in);
    hash = hash_of({bytes, static_cast<size_t>(bytes_end - bytes)}, hash);
  }
  return hash;
}

// So many names at a time are compared with all that follow.
bool object_has_twins(std::string_view object) {
  constexpr size_t kAtOnce = 128;
  uint64_t seen[kAtOnce];
  size_t count = 0;
  const auto stands_in = [&](uint64_t hash) {
    for (size_t k = 0; k < count; ++k) {
      if (seen[k] == hash) return true;
    }
    return false;
  };
  for (JsonMembers m(object); m.next();) {
    const uint64_t hash = hash_of_name(m.name());
    if (stands_in(hash)) return true;
    seen[count++] = hash;
    if (count < kAtOnce) continue;
    for (JsonMembers rest = m; rest.next();) {
      if (stands_in(hash_of_name(rest.name()))) return true;
    }
    count = 0;
  }
  return false;
}

}  // namespace

std::string_view skip_space(std::string_view text) {
  size_t i = 0;
  while (i < text.size() && is_space(text[i])) ++i;
  return tail(text, i);
}

std::string_view first_value(std::string_view text) {
  text = skip_space(text);
  return {text.data(), value_size(text.data(), text.size())};
}

JsonMembers::JsonMembers(std::string_view object) {
  object = skip_space(object);
  if (!object.empty() && object.front() == '{') rest_ = tail(object, 1);
}

bool JsonMembers::next() {
  rest_ = skip_space(rest_);
  if (!rest_.empty() && rest_.front() == ',') rest_ = skip_space(tail(rest_, 1));
  if (rest_.empty() || rest_.front() != '"') return false;
  const size_t size = string_size(rest_.data(), rest_.size());
  name_ = {rest_.data() + 1, size >= 2 ? size - 2 : 0};
  rest_ = skip_space(tail(rest_, size));
  if (rest_.empty() || rest_.front() != ':') return false;
  value_ = first_value(tail(rest_, 1));
  if (value_.empty()) return false;
  rest_ = tail(rest_, static_cast<size_t>(value_.data() + value_.size() - rest_.data()));
  return true;
}

size_t unescape(char* text, size_t size) {
  const char* in = text;
  const char* const end = text + size;
  char* out = text;
  while (in < end) out = put_unescaped(out, in);
  return static_cast<size_t>(out - text);
}

bool numbers_in_range(std::string_view json) {
  const char* const text = json.data();
  for (size_t i = 0; i < json.size();) {
    if (text[i] == '"') {
      i += string_size(text + i, json.size() - i);
    } else if (text[i] == '-' || is_digit(text[i])) {
      const size_t size = value_size(text + i, json.size() - i);
      if (!in_range(text + i, size)) return false;
      i += size;
    } else {
      ++i;
    }
  }
  return true;
}

bool has_twin_names(std::string_view json) {
  const char* const text = json.data();
  for (size_t i = 0; i < json.size();) {
    if (text[i] == '"') {
      i += string_size(text + i, json.size() - i);
      continue;
    }
    if (text[i] == '{' && object_has_twins(tail(json, i))) return true;
    ++i;
  }
  return false;
}

}  // namespace nb::client
