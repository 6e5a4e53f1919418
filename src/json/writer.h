// Writes canonical compact JSON (no white space, members in the order they are written) onto the
// end of a string that the caller owns and may reuse.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nb::json {

class Writer {
 public:
  // Appends to `out`, which must outlive the writer.
  explicit Writer(std::string& out) : out_(out) {}

  Writer& begin_object();
  Writer& end_object();
  Writer& begin_array();
  Writer& end_array();

  // The next value's name; only inside an object. Names are the program's own, written unescaped.
  Writer& key(std::string_view name);
  // Of a literal: at a hundred places one word less to hand over.
  Writer& key(const char* name);

  // Text that is not UTF-8 has each bad byte replaced by U+FFFD: readers parse strictly.
  Writer& string(std::string_view text);
  Writer& boolean(bool value);
  Writer& integer(int64_t value);
  // A number with at most `decimals` digits after the point (0..6): 12.345678 -> 12.35. NaN and
  // infinities become null, since JSON has no word for them.
  Writer& rounded(double value, int decimals);
  Writer& null();
  // `json` must already be one complete JSON value; its bytes are copied as they are.
  Writer& raw(std::string_view json);

 private:
  void separate();

  std::string& out_;
  bool first_ = true;  // no value yet at this level, or a key was just written
};

}  // namespace nb::json
