#include "wire/json_names.h"

#include <algorithm>

#include "wire/json_bytes.h"
#include "wire/json_text.h"

namespace nb::wire {
namespace {

// Of the first bytes and the length: enough to tell most names apart. Names that are made to
// collide cost comparisons, but no more of them than sorting does.
uint32_t hash_of(std::string_view name, bool escaped) {
  uint64_t head = 0;
  size_t length = 0;
  const auto take = [&](char c) {
    if (length < sizeof head) head |= uint64_t{static_cast<unsigned char>(c)} << (8 * length);
    ++length;
  };
  if (!escaped) {
    length = name.size();
    if (length >= sizeof head) {
      head = load_eight(name.data());
    } else {
      for (size_t i = length; i > 0; --i)
        head = head << 8 | static_cast<unsigned char>(name[i - 1]);
    }
  } else {
    char buffer[4];
    while (!name.empty()) {
      for (const char c : next_character(name, buffer)) take(c);
    }
  }
  return static_cast<uint32_t>(((head ^ length) * 0x9e3779b97f4a7c15u) >> 32);
}

}  // namespace

void NameStack::begin(std::string_view text) {
  text_ = text;
  names_.clear();
  depth_ = 0;
}

void NameStack::add(size_t from, size_t to, bool escaped) {
  const std::string_view name = text_.substr(from, to - from);
  names_.push_back(
      {hash_of(name, escaped), static_cast<uint32_t>(from), static_cast<uint32_t>(to - from)});
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

}  // namespace nb::wire
