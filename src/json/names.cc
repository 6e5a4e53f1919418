#include "json/names.h"

#include <algorithm>

#include "json/bytes.h"
#include "json/text.h"

namespace nb::json {

uint32_t NameStack::hash_of_escaped(std::string_view name) {
  uint64_t head = 0;
  size_t length = 0;
  char buffer[4];
  while (!name.empty()) {
    for (const char c : next_character(name, buffer)) {
      if (length < sizeof head) head |= uint64_t{static_cast<unsigned char>(c)} << (8 * length);
      ++length;
    }
  }
  return mix(head, length);
}

void NameStack::begin(std::string_view text) {
  text_ = text;
  names_.clear();
  depth_ = 0;
}

size_t NameStack::close() {
  const uint32_t mark = marks_[--depth_];
  const size_t found = first_repeated(names_.data() + mark, names_.size() - mark);
  names_.resize(mark);
  return found;
}

int NameStack::compare(const Name& a, const Name& b) const {
  if (a.hash != b.hash) return a.hash < b.hash ? -1 : 1;
  return compare_escaped(text_of(a), text_of(b));
}

size_t NameStack::first_repeated(Name* names, size_t count) {
  if (count <= 16) {
    for (size_t later = 1; later < count; ++later) {
      for (size_t earlier = 0; earlier < later; ++earlier) {
        if (names[earlier].hash == names[later].hash &&
            compare(names[earlier], names[later]) == 0) {
          return names[later].from;
        }
      }
    }
    return std::string_view::npos;
  }
  const auto before = [this](const Name& a, const Name& b) {
    const int order = compare(a, b);
    return order != 0 ? order < 0 : a.from < b.from;
  };
  // Not std::sort: that is three times the code.
  std::make_heap(names, names + count, before);
  std::sort_heap(names, names + count, before);
  size_t found = std::string_view::npos;
  for (size_t i = 1; i < count; ++i) {
    if (compare(names[i - 1], names[i]) == 0) found = std::min<size_t>(found, names[i].from);
  }
  return found;
}

}  // namespace nb::json
