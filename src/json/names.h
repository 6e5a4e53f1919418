// NameStack: finds a name that appears twice in one object, while a scanner reads a text. Names are
// compared unescaped: "a" and "\u0061" are the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "json/bytes.h"

namespace nb::json {

class NameStack {
 public:
  // For a text of less than 4 GiB that outlives the scan. The memory is used again.
  void begin(std::string_view text);

  void open() { marks_[depth_++] = static_cast<uint32_t>(names_.size()); }
  // The name between these two places of the text, without its quotes; whether it holds an escape.
  void add(size_t from, size_t to, bool escaped) {
    const size_t length = to - from;
    uint32_t hash = 0;
    if (escaped) {
      hash = hash_of_escaped(text_.substr(from, length));
    } else if (text_.size() - from >= sizeof(uint64_t)) {
      // Bytes behind a shorter name are cut off again.
      uint64_t head = load_eight(text_.data() + from);
      if (length < sizeof head) head &= (uint64_t{1} << (8 * length)) - 1;
      hash = mix(head, length);
    } else {
      uint64_t head = 0;
      for (size_t i = length; i > 0; --i) {
        head = head << 8 | static_cast<unsigned char>(text_[from + i - 1]);
      }
      hash = mix(head, length);
    }
    names_.push_back({hash, static_cast<uint32_t>(from), static_cast<uint32_t>(length)});
  }
  // The innermost object ends. Returns the place of its first repeated name, or npos. Takes at most
  // as many steps as sorting takes, whatever the names are.
  size_t close();

 private:
  struct Name {
    uint32_t hash;
    uint32_t from, length;
  };
  // Of the first bytes and the length: enough to distinguish most names. Names that are made to
  // collide cost comparisons, but no more of them than sorting does.
  static uint32_t mix(uint64_t head, size_t length) {
    return static_cast<uint32_t>(((head ^ length) * 0x9e3779b97f4a7c15u) >> 32);
  }
  static uint32_t hash_of_escaped(std::string_view name);
  std::string_view text_of(const Name& name) const { return text_.substr(name.from, name.length); }
  int compare(const Name& a, const Name& b) const;
  size_t first_repeated(Name* names, size_t count);

  std::string_view text_;
  std::vector<Name> names_;  // of all objects that are open, the innermost last
  uint32_t marks_[64] = {};
  size_t depth_ = 0;
};

}  // namespace nb::json
