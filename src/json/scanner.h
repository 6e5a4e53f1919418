// The scanner itself: the grammar of RFC 8259, in one pass. What is noted of values, and asked of
// names and magnitudes beyond the grammar, is up to `Notes`: scan() does neither.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/hex.h"
#include "base/text.h"
#include "json/bytes.h"

namespace nb::json::scanner {

inline bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Names of any kind, as often as one likes; numbers of any magnitude. A level is how many arrays
// and objects something stands in.
struct NoNotes {
  void space() {}
  void open(size_t, size_t, bool) {}
  void name(size_t, size_t, bool, size_t) {}
  // Of an object that ends: where its first repeated name stands, or npos.
  size_t repeated_name() { return std::string_view::npos; }
  void close(size_t, size_t) {}
  void scalar(size_t, size_t, bool, size_t) {}
  bool fits(std::string_view) const { return true; }
};

template <class Notes>
class Scanner {
 public:
  Scanner(std::string_view text, size_t max_depth, Notes& notes)
      : text_(text), max_depth_(max_depth), notes_(notes) {}

  // Whether a byte beyond ASCII has been seen; only after a run without fault, since all such bytes
  // stand in strings then.
  bool beyond_ascii() const { return (seen_ & all_bytes(0x80)) != 0; }

  Fault run() {
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
            notes_.open(at_, depth_, c == '{');
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
            if (!names_done()) return fault_;
            if (pop()) return rest();
            want = Want::comma_or_end;
            break;
          }
          [[fallthrough]];
        case Want::key:
          if (c != '"') return fault("expected a name in double quotes");
          if (!name()) return fault_;
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
            if (!names_done()) return fault_;
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

  // Without substr(), which may throw: libnodebeat is built on this and must not need libstdc++.
  bool next_is(std::string_view word) const {
    return text_.size() - at_ >= word.size() &&
           std::memcmp(text_.data() + at_, word.data(), word.size()) == 0;
  }

  void skip_space() {
    if (at_ < text_.size() && text_[at_] > ' ') return;  // compact JSON: nearly always
    const size_t from = at_;
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
    if (at_ != from) notes_.space();
  }

  Fault fault(const char* reason) {
    if (at_ >= text_.size()) reason = "ends too early";
    fault_ = {reason, at_};
    return fault_;
  }

  bool refuse(const char* reason) {
    (void)fault(reason);
    return false;
  }

  bool name() {
    const size_t from = at_ + 1;
    if (!string()) return false;
    notes_.name(from, at_ - 1, escaped_, depth_);
    return true;
  }

  // At the end of an object, before pop().
  bool names_done() {
    if ((in_object_ & 1) == 0) return true;
    const size_t repeated = notes_.repeated_name();
    if (repeated == text_.npos) return true;
    fault_ = {"a name stands twice in one object", repeated};
    return false;
  }

  // Closes a level; true if it was the outermost.
  bool pop() {
    ++at_;
    in_object_ >>= 1;
    notes_.close(at_, --depth_);
    return depth_ == 0;
  }

  Fault rest() {
    skip_space();
    if (at_ == text_.size()) return {};
    return fault("something follows the value");
  }

  bool scalar() {
    const size_t from = at_;
    escaped_ = false;
    if (!text_or_number_or_word()) return false;
    notes_.scalar(from, at_, escaped_, depth_);
    return true;
  }

  bool text_or_number_or_word() {
    const char c = peek();
    if (c == '"') return string();
    if (c == '-' || is_digit(c)) return number();
    const std::string_view word = c == 't' ? "true" : c == 'f' ? "false" : "null";
    if (!next_is(word)) return refuse("expected a value");
    at_ += word.size();
    return true;
  }

  bool digits() {
    const char* const end = text_.data() + text_.size();
    const char* p = text_.data() + at_;
    while (end - p >= 8 && are_digits(load_eight(p))) p += 8;  // joints have sixteen
    while (p < end && is_digit(*p)) ++p;
    const auto at = static_cast<size_t>(p - text_.data());
    if (at == at_) return refuse("expected a digit");
    at_ = at;
    return true;
  }

  bool number() {
    const size_t from = at_;
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
    const bool exponent = peek() == 'e' || peek() == 'E';
    if (exponent) {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (!digits()) return false;
    }
    if (!exponent && at_ - from < 300) return true;  // far from the bounds
    if (!notes_.fits({text_.data() + from, at_ - from})) {
      fault_ = {"a number beyond the range of a double", from};
      return false;
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
      const int digit = hex_digit(text_[at_++]);
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

  // The first byte from `p` on that ends a run of plain ones, or `end`.
  const char* skip_plain(const char* p, const char* end) {
    uint64_t seen = 0;
    // With this bit turned a quote stands right behind the control characters.
    const auto marks_in = [&seen](uint64_t word) {
      seen |= word;
      return marks_below(word ^ all_bytes(0x02), 0x21) | marks_of(word, '\\');
    };
#ifdef NB_HAS_SIXTEEN
    Sixteen seen_here{};
    while (end - p >= 16) {
      const Sixteen word = load_sixteen(p);
      if (ends_plain(word)) break;  // where, is found below
      seen_here |= word;
      p += 16;
    }
    seen = joined(seen_here);
#endif
    uint64_t marks = 0;
    while (end - p >= 8 && (marks = marks_in(load_eight(p))) == 0) p += 8;
    if (marks != 0) {
      p += first_mark(marks);
    } else {
      for (; p < end; ++p) {
        const auto c = static_cast<unsigned char>(*p);
        if (c == '"' || c == '\\' || c < 0x20) break;
        seen |= c;
      }
    }
    seen_ |= seen;
    return p;
  }

  bool string() {
    const char* const end = text_.data() + text_.size();
    escaped_ = false;
    for (const char* p = text_.data() + at_ + 1; (p = skip_plain(p, end)) < end;) {
      at_ = static_cast<size_t>(p - text_.data());
      if (static_cast<unsigned char>(*p) < 0x20) {
        return refuse("a control character in a string must be escaped");
      }
      ++at_;
      if (*p == '"') return true;
      escaped_ = true;
      if (!escape()) return false;
      p = text_.data() + at_;
    }
    at_ = text_.size();
    return refuse("ends too early");
  }

  std::string_view text_;
  size_t max_depth_;
  Notes& notes_;
  size_t at_ = 0;
  size_t depth_ = 0;
  uint64_t in_object_ = 0;  // one bit a level, the innermost lowest
  uint64_t seen_ = 0;       // the bits of what strings hold
  bool escaped_ = false;    // the last string holds an escape
  Fault fault_;
};

template <class Notes>
Fault scan(std::string_view text, const Limits& limits, Notes& notes) {
  if (text.size() > limits.max_bytes) return {"too long", limits.max_bytes};
  const size_t depth = limits.max_depth < 64 ? limits.max_depth : 64;
  Scanner<Notes> scanner(text, depth, notes);
  const Fault fault = scanner.run();
  // Nearly all text is ASCII, which the scanner has just seen.
  if (fault.reason == nullptr && !scanner.beyond_ascii()) return fault;
  const size_t valid = valid_utf8_prefix(text);
  if (valid < text.size()) return {"not UTF-8", valid};
  return fault;
}

}  // namespace nb::json::scanner
