// JsonWriter: canonical compact JSON (no white space, fields in the order they are written),
// appended to a string that the caller owns and may reuse.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nb::wire {

class JsonWriter {
 public:
  // Appends to `out`, which must outlive the writer.
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();

  // The next value's name; only inside an object. Names are the program's own, written unescaped.
  JsonWriter& key(std::string_view name);
  // Of a literal: at a hundred places one word less to hand over.
  JsonWriter& key(const char* name);

  // Text that is not UTF-8 has each bad byte replaced by U+FFFD: readers parse strictly.
  JsonWriter& string(std::string_view text);
  JsonWriter& boolean(bool value);
  JsonWriter& integer(int64_t value);
  // A number with at most `decimals` digits after the point (0..6): 12.345678 -> 12.35. NaN and
  // infinities become null, since JSON has no word for them.
  JsonWriter& rounded(double value, int decimals);
  JsonWriter& null();
  // `json` must already be one complete JSON value; its bytes are copied as they are.
  JsonWriter& raw(std::string_view json);

 private:
  void separate();

  std::string& out_;
  bool first_ = true;  // no value yet at this level, or a key was just written
};

}  // namespace nb::wire
