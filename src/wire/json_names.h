// NameStack: finds a name that stands twice in one object, while a scanner goes through a text.
// Names are compared as what they stand for: "a" and "\u0061" are the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace nb::wire {

class NameStack {
 public:
  // For a text of less than 4 GiB that outlives the scan. What was allocated is used again.
  void begin(std::string_view text);

  void open() { marks_[depth_++] = static_cast<uint32_t>(names_.size()); }
  // The name between these two places of the text, without its quotes; whether it holds an escape.
  void add(size_t from, size_t to, bool escaped);
  // The innermost object ends. Where its first repeated name stands, or npos. At most as many
  // steps as sorting takes, whatever the names are.
  size_t close();

 private:
  struct Name {
    uint32_t hash;
    uint32_t from, length;
  };
  std::string_view text_of(const Name& name) const { return text_.substr(name.from, name.length); }
  int compare(const Name& a, const Name& b) const;
  size_t first_repeated(Name* names, size_t count);

  std::string_view text_;
  std::vector<Name> names_;  // of all objects that are open, the innermost last
  uint32_t marks_[64] = {};
  size_t depth_ = 0;
};

}  // namespace nb::wire
