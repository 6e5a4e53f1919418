// Incoming: bytes of the agent, cut into lines. The caller owns the buffer. Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace nb::client {

class Incoming {
 public:
  Incoming(char* buffer, size_t size) : buffer_(buffer), size_(size) {}

  // Where more bytes can go, and in `size` how many. 0 if the buffer is full of one line, or of
  // lines that were not taken.
  char* room(size_t& size);
  void added(size_t size) { end_ += size; }

  // The first whole line, with a NUL in place of its newline. It stays until drop_line(). Null:
  // there is none.
  char* line(size_t& size);
  void drop_line();
  bool has_line();

  // Continues in another buffer, which has room for the bytes that are held.
  void move_to(char* buffer, size_t size);
  size_t size() const { return size_; }
  bool empty() const { return begin_ == end_; }

  // True if a line is longer than the buffer: such a line can only be skipped.
  bool overlong() const { return line_size_ == kUnknown && end_ - begin_ == size_; }
  // The bytes of that line so far.
  std::string_view held() const { return {buffer_ + begin_, end_ - begin_}; }
  // Drops these bytes, and all that come until the line ends.
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
  bool skipping_ = false;        // the data at begin_ is the rest of an overlong line
};

}  // namespace nb::client
