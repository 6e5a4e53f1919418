#include "client/incoming.h"

#include <cstring>

namespace nb::client {

char* Incoming::room(size_t& size) {
  if (begin_ > 0 && size_ - end_ < size_ / 2) {
    std::memmove(buffer_, buffer_ + begin_, end_ - begin_);
    end_ -= begin_;
    looked_ -= looked_ > begin_ ? begin_ : looked_;
    begin_ = 0;
  }
  size = size_ - end_;
  return buffer_ + end_;
}

void Incoming::move_to(char* buffer, size_t size) {
  std::memcpy(buffer, buffer_ + begin_, end_ - begin_);
  end_ -= begin_;
  looked_ -= looked_ > begin_ ? begin_ : looked_;
  begin_ = 0;
  buffer_ = buffer;
  size_ = size;
}

bool Incoming::has_line() {
  if (line_size_ != kUnknown) return true;
  if (looked_ < begin_) looked_ = begin_;
  void* const newline = std::memchr(buffer_ + looked_, '\n', end_ - looked_);
  looked_ = end_;
  if (newline == nullptr) {
    if (skipping_) skip_line();
    return false;
  }
  if (skipping_) {
    skipping_ = false;
    begin_ = looked_ = static_cast<size_t>(static_cast<char*>(newline) - buffer_) + 1;
    return has_line();
  }
  line_size_ = static_cast<size_t>(static_cast<char*>(newline) - (buffer_ + begin_));
  *static_cast<char*>(newline) = '\0';
  return true;
}

char* Incoming::line(size_t& size) {
  if (!has_line()) return nullptr;
  size = line_size_;
  return buffer_ + begin_;
}

void Incoming::drop_line() {
  begin_ += line_size_ + 1;
  looked_ = begin_;
  line_size_ = kUnknown;
  if (begin_ == end_) begin_ = looked_ = end_ = 0;
}

}  // namespace nb::client
