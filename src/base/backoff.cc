#include "base/backoff.h"

#include <algorithm>

namespace nb {

Duration Backoff::window() const {
  Duration window = limits_.base;
  for (unsigned i = 0; i < failures_ && window < limits_.cap; ++i) window *= 2;
  return std::min(window, limits_.cap);
}

bool Backoff::at_cap() const {
  return window() >= limits_.cap;
}

Duration Backoff::draw(Duration window) {
  return Duration(static_cast<Duration::rep>(random_.below(static_cast<uint64_t>(window.count()))));
}

Duration Backoff::next() {
  const Duration now = window();
  if (now >= limits_.cap) return draw(now);  // failures_ stays, or it would wrap some day
  ++failures_;
  return draw(std::min(now, limits_.early_limit));
}

Duration Backoff::next_at_cap() {
  return draw(limits_.cap);
}

}  // namespace nb
