// An Index says where the values of a text lie. The guard fills it while it checks the text, so a
// later reader need not search for the ends of the values again. The index has room for a usual
// call. A longer or deeper text is read without the index, more slowly.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace nb::json {

// A value, or a member's name, which its value follows.
struct Token {
  static constexpr uint8_t kEscaped = 1;  // a text that holds an escape
  static constexpr uint8_t kSpaced = 2;   // a container with white space between its elements
  static constexpr uint8_t kClosed = 4;   // a container whose tokens are not in the index

  uint32_t from;  // where its bytes begin in the text; of a name, behind the quote
  uint32_t size;  // how many there are; of a name, without its quotes
  uint16_t span;  // the number of these tokens for this value, itself and its contents
  uint8_t flags;
};

class Index {
 public:
  // A call and its params are levels 1 and 2, and a joint stands in an array within.
  static constexpr size_t kLevels = 4;
  static constexpr size_t kTokens = 128;

  void begin() {
    count_ = 0;
    spaces_ = 0;
  }
  void space() { ++spaces_; }
  void name(size_t from, size_t to, bool escaped, size_t level) {
    if (level < kLevels) add(from, to - from, escaped ? Token::kEscaped : 0);
  }
  void scalar(size_t from, size_t to, bool escaped, size_t level) {
    if (level < kLevels) add(from, to - from, escaped ? Token::kEscaped : 0);
  }
  void open(size_t from, size_t level) {
    if (level >= kLevels) return;
    open_[level] = {count_, spaces_};
    add(from, 0, 0);
  }
  void close(size_t to, size_t level) {
    if (level >= kLevels || count_ > kTokens) return;
    Token& token = tokens_[open_[level].token];
    token.size = static_cast<uint32_t>(to - token.from);
    token.span = static_cast<uint16_t>(count_ - open_[level].token);
    if (spaces_ != open_[level].spaces) token.flags |= Token::kSpaced;
    if (level + 1 == kLevels) token.flags |= Token::kClosed;
  }

  // The whole value's; null if the text has more than there is room for.
  const Token* root() const { return count_ <= kTokens ? tokens_.data() : nullptr; }

 private:
  struct Open {
    uint32_t token;
    uint32_t spaces;
  };

  void add(size_t from, size_t size, uint8_t flags) {
    if (count_ < kTokens) {
      tokens_[count_] = {static_cast<uint32_t>(from), static_cast<uint32_t>(size), 1, flags};
      ++count_;
    } else {
      count_ = kTokens + 1;
    }
  }

  uint32_t count_ = 0;  // kTokens + 1: more than there is room for
  uint32_t spaces_ = 0;
  std::array<Open, kLevels> open_;
  std::array<Token, kTokens> tokens_;
};

}  // namespace nb::json
