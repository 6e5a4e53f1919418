// ReplyGauge: looks at every byte that a server sends, once, before hiredis does. It knows how far
// whole elements reach, so hiredis never searches the same half line again at each read. It bounds
// a reply in memory, not only in bytes, and believes no size that a server announces. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/delegate.h"

namespace nb::redis {

// The limit that a reply is beyond: a number of bytes, of elements of an array, or of arrays in one
// another.
struct ReplyLimit {
  enum class Of : uint8_t { none, bytes, elements, depth };
  Of of = Of::none;
  size_t most = 0;

  explicit operator bool() const { return of != Of::none; }
};

class ReplyGauge {
 public:
  static constexpr const char* kTooLong = "a reply is longer than redis.max_reply allows";
  // hiredis 0.14 counts elements in an int and would allocate 16 GiB for "*2147483647".
  static constexpr size_t kMaxElements = 64 * 1024;
  // Arrays within arrays. hiredis 1.0 to 1.4.0 have no limit of their own: there, freeing a reply
  // that is nested deep enough overflows the stack.
  static constexpr size_t kMaxDepth = 7;
  // The longest simple string or error, and how much of it is handed on: no reader needs more.
  static constexpr size_t kMaxLine = 4 * 1024 * 1024;
  static constexpr size_t kKeptLine = 2048;

  // `max_reply_bytes`: what the bytes and the elements of one reply may take together; `too_long`:
  // what is said of a reply that takes more.
  explicit ReplyGauge(size_t max_reply_bytes, const char* too_long = kTooLong)
      : max_reply_bytes_(max_reply_bytes), too_long_(too_long) {}

  // Hands what is to be parsed on to `pass`, piece by piece. False if a limit is exceeded or the
  // bytes are not the protocol; then fault() says why, and the connection is of no more use.
  bool feed(std::string_view bytes, Delegate<void(std::string_view)> pass);
  const char* fault() const { return fault_; }
  // Set if the fault is a limit, not bytes that are not the protocol.
  ReplyLimit limit() const { return limit_; }

  // Whether parsing makes sense: since the last call an element has come to its end, or a whole
  // reply waits to be taken.
  bool worth_parsing() {
    const bool worth = whole_ > 0 || elements_ended_;
    elements_ended_ = false;
    return worth;
  }
  // A whole reply has been taken.
  void taken() { --whole_; }
  size_t whole_replies() const { return whole_; }

 private:
  bool fail(const char* why) {
    fault_ = why;
    return false;
  }
  bool refuse(ReplyLimit::Of of, size_t most, const char* why) {
    limit_ = {of, most};
    return fail(why);
  }
  bool charge(size_t bytes);
  bool end_line();
  void end_element();

  const size_t max_reply_bytes_;
  const char* const too_long_;
  const char* fault_ = nullptr;
  ReplyLimit limit_;
  size_t cost_ = 0;       // of the reply that is not whole yet
  size_t whole_ = 0;      // replies that have not been taken
  size_t body_left_ = 0;  // of a bulk string and the line's end behind it
  size_t line_ = 0;       // bytes of the current line so far, its kind included
  char kind_ = 0;         // of the current line
  bool cr_ = false;       // the byte before was '\r'
  bool elements_ended_ = false;
  size_t depth_ = 0;
  std::array<size_t, kMaxDepth> left_{};  // elements that still have to come, for each open array
  std::array<char, 24> number_{};         // of a line that holds one
  size_t number_size_ = 0;
};

}  // namespace nb::redis
