// Walks over JSON text that is known to be valid (json/scan.h), and finds members without building
// a tree. Pure; no allocation.
#pragma once

#include <cstddef>
#include <string_view>

namespace nb::client {

std::string_view skip_space(std::string_view text);

// The value that `text` begins with, as its bytes.
std::string_view first_value(std::string_view text);

// Goes through the members of an object:
//     for (JsonMembers m(object); m.next();) use(m.name(), m.value());
// A name is the text between the quotes, as it was written. A value that is no object has no
// members.
class JsonMembers {
 public:
  explicit JsonMembers(std::string_view object);
  bool next();
  std::string_view name() const { return name_; }
  std::string_view value() const { return value_; }

 private:
  std::string_view rest_;
  std::string_view name_;
  std::string_view value_;
};

// The value of a JSON string, written over the text itself between its quotes (it never grows);
// returns its length. `text` begins behind the opening quote, `size` ends before the closing one.
size_t unescape(char* text, size_t size);

// False if a number is beyond the range of a double, such as 1e999.
bool numbers_in_range(std::string_view json);

// True if an object has one name twice, escaped or not.
bool has_twin_names(std::string_view json);

}  // namespace nb::client
