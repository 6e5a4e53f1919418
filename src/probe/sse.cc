#include "probe/sse.h"

#include <algorithm>

namespace nb::probe {

bool SseParser::next(std::string_view& bytes) {
  if (done_) {
    data_.clear();
    type_.clear();
  }
  done_ = false;
  while (!bytes.empty() && !overflowed_) {
    if (after_cr_ && bytes.front() == '\n') bytes.remove_prefix(1);
    after_cr_ = false;
    const size_t end = std::min(bytes.find_first_of("\r\n"), bytes.size());
    if (line_.size() + end > kMaxEvent) {
      overflowed_ = true;
      break;
    }
    line_.append(bytes.substr(0, end));
    if (end == bytes.size()) {
      bytes = {};
      break;
    }
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    if (take_line()) return true;
  }
  if (overflowed_) bytes = {};
  return false;
}

// A whole line is in line_; true if it ends an event with data.
bool SseParser::take_line() {
  std::string_view line = line_;
  if (at_beginning_ && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  at_beginning_ = false;
  bool complete = false;
  if (line.empty()) {
    complete = has_data_;
    done_ = has_data_;
    has_data_ = false;
    if (!complete) type_.clear();
  } else if (line.starts_with("data") && (line.size() == 4 || line[4] == ':')) {
    line.remove_prefix(std::min<size_t>(line.size(), 5));
    if (line.starts_with(' ')) line.remove_prefix(1);
    if (data_.size() + line.size() >= kMaxEvent) {
      overflowed_ = true;
    } else {
      if (has_data_) data_ += '\n';
      data_ += line;
      has_data_ = true;
    }
  } else if (line.starts_with("event:")) {
    line.remove_prefix(6);
    if (line.starts_with(' ')) line.remove_prefix(1);
    type_ = line;
  }  // other fields (id, retry) and comments are of no use here
  line_.clear();
  return complete;
}

}  // namespace nb::probe
