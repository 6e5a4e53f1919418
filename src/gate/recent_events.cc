#include "gate/recent_events.h"

#include <utility>

namespace nb::gate {

void RecentEvents::add(std::string event) {
  bytes_ += event.size();
  events_.push_back(std::move(event));
  while (events_.size() > kMost || (bytes_ > kMostBytes && events_.size() > 1)) {
    bytes_ -= events_.front().size();
    events_.pop_front();
  }
}

void RecentEvents::clear() {
  events_.clear();
  bytes_ = 0;
}

std::string RecentEvents::json() const {
  std::string out = "[";
  for (const std::string& event : events_) {
    if (out.size() > 1) out += ',';
    out += event;
  }
  return out + "]";
}

}  // namespace nb::gate
