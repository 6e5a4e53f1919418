// LineWriter: writes JSON into memory that the caller owns. Bytes that do not fit are counted but
// not written, so that the caller learns the size that was needed. No allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "client/number_text.h"

namespace nb::client {

class LineWriter {
 public:
  LineWriter(char* begin, size_t capacity) : begin_(begin), at_(begin), end_(begin + capacity) {}

  void raw(std::string_view text) {
    if (char* const out = take(text.size())) std::memcpy(out, text.data(), text.size());
  }
  void character(char c) {
    if (char* const out = take(1)) *out = c;
  }
  void boolean(bool value) { raw(value ? "true" : "false"); }
  void number(double value);
  void integer(int64_t value);
  // `text`, which is UTF-8, in quotes and escaped.
  void string(std::string_view text);
  // JSON that is already valid; line breaks, which only separate there, become spaces.
  void json(std::string_view text);
  // "2026-11-20T14:03:07.123456", in quotes; 0 <= microseconds <= kMaxTimestamp.
  void timestamp(int64_t microseconds);

  // The size of all that was to be written, whether it fitted or not.
  size_t size() const { return static_cast<size_t>(at_ - begin_) + lost_; }
  bool fits() const { return lost_ == 0; }

 private:
  char* take(size_t n) {
    if (lost_ != 0 || n > static_cast<size_t>(end_ - at_)) {
      lost_ += n;
      return nullptr;
    }
    char* const out = at_;
    at_ += n;
    return out;
  }

  char* begin_;
  char* at_;
  char* end_;
  size_t lost_ = 0;
};

// How long `text` is between the quotes of LineWriter::string().
size_t escaped_size(std::string_view text);

// The end of the year 9999.
constexpr int64_t kMaxTimestamp = 253402300799999999;

}  // namespace nb::client
