// Incoming: bytes of the agent, cut into lines. A buffer that the caller owns; pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace nb::client {

class Incoming {
 public:
  Incoming(char* buffer, size_t size) : buffer_(buffer), size_(size) {}

  // Room for more bytes, and how much; 0 if a line, or lines that nobody took, fill the buffer.
  char* room(size_t& size);
  void added(size_t size) { end_ += size; }

  // The first whole line, NUL-terminated over its newline; stays until drop_line(). Null: none.
  char* line(size_t& size);
  void drop_line();
  bool has_line();

  // Goes on in another buffer, which has room for what is held.
  void move_to(char* buffer, size_t size);
  size_t size() const { return size_; }
  bool empty() const { return begin_ == end_; }

  // A line that is longer than the buffer: it can never be whole, only skipped.
  bool overlong() const { return line_size_ == kUnknown && end_ - begin_ == size_; }
  // What there is of it.
  std::string_view held() const { return {buffer_ + begin_, end_ - begin_}; }
  // Drops that, and what comes until the line ends.
  void skip_line() { clear(), skipping_ = true; }
  void clear() { begin_ = looked_ = end_ = 0, line_size_ = kUnknown, skipping_ = false; }

 private:
  static constexpr size_t kUnknown = static_cast<size_t>(-1);

  char* buffer_;
  size_t size_;
  size_t begin_ = 0;
  size_t looked_ = 0;  // no newline before this
  size_t end_ = 0;
  size_t line_size_ = kUnknown;  // of the line at begin_
  bool skipping_ = false;        // what lies at begin_ is the rest of an overlong line
};

}  // namespace nb::client
