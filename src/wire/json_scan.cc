#include "wire/json_scan.h"

#include <cstdint>
#include <cstring>

#include "base/text.h"

namespace nb::wire {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

class Scanner {
 public:
  Scanner(std::string_view text, size_t max_depth) : text_(text), max_depth_(max_depth) {}

  JsonFault run() {
    // What may come next; the grammar needs no more than this and one bit a level.
    enum class Want { value, value_or_end, key, key_or_end, comma_or_end } want = Want::value;
    for (;;) {
      skip_space();
      const char c = peek();
      switch (want) {
        case Want::value_or_end:
          if (c == ']') {
            if (pop()) return rest();
            want = Want::comma_or_end;
            break;
          }
          [[fallthrough]];
        case Want::value:
          if (c == '{' || c == '[') {
            if (depth_ == max_depth_) return fault("nested too deep");
            in_object_ = in_object_ << 1 | (c == '{' ? 1u : 0u);
            ++depth_;
            ++at_;
            want = c == '{' ? Want::key_or_end : Want::value_or_end;
            break;
          }
          if (!scalar()) return fault_;
          if (depth_ == 0) return rest();
          want = Want::comma_or_end;
          break;
        case Want::key_or_end:
          if (c == '}') {
            if (pop()) return rest();
            want = Want::comma_or_end;
            break;
          }
          [[fallthrough]];
        case Want::key:
          if (c != '"') return fault("expected a name in double quotes");
          if (!string()) return fault_;
          skip_space();
          if (peek() != ':') return fault("expected ':'");
          ++at_;
          want = Want::value;
          break;
        case Want::comma_or_end:
          if (c == ',') {
            ++at_;
            want = (in_object_ & 1) != 0 ? Want::key : Want::value;
          } else if (c == ((in_object_ & 1) != 0 ? '}' : ']') && at_ < text_.size()) {
            if (pop()) return rest();
          } else {
            return fault("expected ',' or the end of the list or object");
          }
          break;
      }
    }
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  // Without substr(): a library that must not need libstdc++ (src/client) is built on this file.
  bool next_is(std::string_view word) const {
    return text_.size() - at_ >= word.size() &&
           std::memcmp(text_.data() + at_, word.data(), word.size()) == 0;
  }

  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }

  JsonFault fault(const char* reason) {
    if (at_ >= text_.size()) reason = "ends too early";
    fault_ = {reason, at_};
    return fault_;
  }

  bool refuse(const char* reason) {
    (void)fault(reason);
    return false;
  }

  // Closes a level; true if it was the outermost.
  bool pop() {
    ++at_;
    in_object_ >>= 1;
    return --depth_ == 0;
  }

  JsonFault rest() {
    skip_space();
    if (at_ == text_.size()) return {};
    return fault("something follows the value");
  }

  bool scalar() {
    const char c = peek();
    if (c == '"') return string();
    if (c == '-' || is_digit(c)) return number();
    for (const std::string_view word : {"true", "false", "null"}) {
      if (next_is(word)) {
        at_ += word.size();
        return true;
      }
    }
    return refuse("expected a value");
  }

  bool digits() {
    if (!is_digit(peek())) return refuse("expected a digit");
    while (is_digit(peek())) ++at_;
    return true;
  }

  bool number() {
    if (peek() == '-') ++at_;
    if (peek() == '0') {
      ++at_;
      if (is_digit(peek())) return refuse("a number may not begin with 0");
    } else if (!digits()) {
      return false;
    }
    if (peek() == '.') {
      ++at_;
      if (!digits()) return false;
    }
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (!digits()) return false;
    }
    return true;
  }

  // Four hex digits, or -1.
  int hex4() {
    if (text_.size() - at_ < 4) {
      at_ = text_.size();
      return -1;
    }
    int value = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = text_[at_++];
      const int digit = is_digit(c)            ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return -1;
      value = value * 16 + digit;
    }
    return value;
  }

  bool escape() {
    const char c = peek();
    if (at_ < text_.size() && std::strchr("\"\\/bfnrt", c) != nullptr && c != '\0') {
      ++at_;
      return true;
    }
    if (c != 'u') return refuse("unknown escape in a string");
    ++at_;
    const int unit = hex4();
    if (unit < 0) return refuse("\\u wants four hexadecimal digits");
    if (unit == 0) return refuse("\\u0000 is not allowed in text");
    if (unit >= 0xdc00 && unit <= 0xdfff) return refuse("a low surrogate without a high one");
    if (unit >= 0xd800 && unit <= 0xdbff) {
      if (!next_is("\\u")) return refuse("a high surrogate without a low one");
      at_ += 2;
      const int low = hex4();
      if (low < 0xdc00 || low > 0xdfff) return refuse("a high surrogate without a low one");
    }
    return true;
  }

  bool string() {
    ++at_;
    while (at_ < text_.size()) {
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') {
        ++at_;
        return true;
      }
      if (c < 0x20) return refuse("a control character in a string must be escaped");
      ++at_;
      if (c == '\\' && !escape()) return false;
    }
    return refuse("ends too early");
  }

  std::string_view text_;
  size_t max_depth_;
  size_t at_ = 0;
  size_t depth_ = 0;
  uint64_t in_object_ = 0;  // one bit a level, the innermost lowest
  JsonFault fault_;
};

}  // namespace

JsonFault scan_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) return {"too long", limits.max_bytes};
  if (!is_valid_utf8(text)) return {"not UTF-8", 0};
  const size_t depth = limits.max_depth < 64 ? limits.max_depth : 64;
  return Scanner(text, depth).run();
}

}  // namespace nb::wire
