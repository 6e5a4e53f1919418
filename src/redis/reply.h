// Reply: an answer of the server as a small value: its kind, and a view of its text or of its
// elements. These belong to the reader that made the reply; copying a reply copies nothing of them.
// The server is not trusted, so no access can fail: a text that is not there is empty, an
// element that is not there is a reply of the kind `none`. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace nb::redis {

class Reply {
 public:
  enum class Kind : uint8_t {
    none,     // there is no reply
    nil,      // "$-1", "*-1": a key or a field that is not there
    integer,  // ":1"
    status,   // "+OK"
    error,    // "-ERR ..."
    string,   // "$5", any bytes
    array,    // "*2"
  };

  Reply() : number_(0) {}
  explicit Reply(int64_t number) : number_(number), kind_(Kind::integer) {}
  // A status, an error or a string.
  Reply(Kind kind, std::string_view text)
      : text_(text.data()), size_(static_cast<uint32_t>(text.size())), kind_(kind) {}
  explicit Reply(std::span<const Reply> elements)
      : elements_(elements.data()),
        size_(static_cast<uint32_t>(elements.size())),
        kind_(Kind::array) {}
  static Reply nil() {
    Reply reply;
    reply.kind_ = Kind::nil;
    return reply;
  }

  Kind kind() const { return kind_; }
  explicit operator bool() const { return kind_ != Kind::none; }
  bool is_nil() const { return kind_ == Kind::nil; }
  bool is_error() const { return kind_ == Kind::error; }
  bool is_string() const { return kind_ == Kind::string; }
  bool is_array() const { return kind_ == Kind::array; }
  bool is_status(std::string_view text) const {
    return kind_ == Kind::status && this->text() == text;
  }

  std::optional<int64_t> integer() const {
    return kind_ == Kind::integer ? std::optional(number_) : std::nullopt;
  }
  // Of a string, a status or an error. That of a status or an error has passed foreign_text().
  std::string_view text() const {
    return kind_ >= Kind::status && kind_ <= Kind::string ? std::string_view(text_, size_)
                                                          : std::string_view();
  }
  // Of a string only: the bytes of a value, not the words of a status.
  std::string_view string() const { return is_string() ? text() : std::string_view(); }
  // The words of an error; empty if it is none. An error always has some.
  std::string_view error() const { return is_error() ? text() : std::string_view(); }
  std::span<const Reply> elements() const {
    return is_array() ? std::span(elements_, size_) : std::span<const Reply>();
  }
  // How many elements an array has; 0 for others.
  size_t size() const { return is_array() ? size_ : 0; }
  Reply operator[](size_t i) const { return i < size() ? elements_[i] : Reply(); }

 private:
  union {
    int64_t number_;
    const char* text_;
    const Reply* elements_;
  };
  uint32_t size_ = 0;  // redis.max_reply is at most 1 GiB
  Kind kind_ = Kind::none;
};

}  // namespace nb::redis
