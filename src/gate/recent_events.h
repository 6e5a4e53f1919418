// RecentEvents: the last events of the cell, each as one JSON text. Pure.
#pragma once

#include <deque>
#include <string>
#include <string_view>

namespace nb::gate {

class RecentEvents {
 public:
  static constexpr size_t kMost = 200;
  static constexpr size_t kMostBytes = 128 * 1024;

  // False if the very same event is there already: an agent that was away repeats the last ones.
  bool add(std::string_view event);
  void clear();
  // A JSON array, the oldest first.
  std::string json() const;

 private:
  std::deque<std::string> events_;
  size_t bytes_ = 0;
};

}  // namespace nb::gate
