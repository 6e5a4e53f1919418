#include "gate/recent_events.h"

#include <algorithm>

namespace nb::gate {

bool RecentEvents::add(std::string_view event) {
  if (std::find(events_.begin(), events_.end(), event) != events_.end()) return false;
  bytes_ += event.size();
  events_.emplace_back(event);
  while (events_.size() > kMost || (bytes_ > kMostBytes && events_.size() > 1)) {
    bytes_ -= events_.front().size();
    events_.pop_front();
  }
  return true;
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
