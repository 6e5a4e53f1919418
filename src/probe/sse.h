// SseParser: an event stream (text/event-stream, WHATWG HTML section 9.2) from any number of
// pieces. Pure.
#pragma once

#include <string>
#include <string_view>

namespace nb::probe {

class SseParser {
 public:
  static constexpr size_t kMaxEvent = 64 * 1024;

  void reset() { *this = SseParser(); }

  // Takes bytes up to the end of the next event and removes them from `bytes`. True if an event
  // with data is complete: data() is its text until the next call. False if `bytes` is used up.
  bool next(std::string_view& bytes);

  const std::string& data() const { return data_; }
  // Of the type "message", which is the one without a name.
  bool is_message() const { return type_.empty() || type_ == "message"; }
  // A line or an event was longer than kMaxEvent: no event will come any more.
  bool overflowed() const { return overflowed_; }

 private:
  bool take_line();

  std::string line_;
  std::string data_;
  std::string type_;
  bool has_data_ = false;
  bool done_ = false;         // data_ has been handed out
  bool after_cr_ = false;     // a LF now belongs to the CR before it
  bool at_beginning_ = true;  // where a byte order mark is skipped
  bool overflowed_ = false;
};

}  // namespace nb::probe
