// SendWindow: how many units may be under way at a time. What is under way is in front of whatever
// comes next, and nobody can be served before it: so it is no more than a slow or busy server
// answers within some milliseconds, however much waits in the outbox. Pure.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/clock.h"

namespace nb::redis {

class SendWindow {
 public:
  // Enough to keep a local server busy through a round trip, few enough that one deadline covers
  // them all.
  static constexpr size_t kMost = 1024;
  static constexpr size_t kLeast = 256;
  // So much longer than the quickest may an answer take, before fewer units are sent at a time.
  static constexpr Duration kQueue = std::chrono::milliseconds(2);

  size_t units() const { return units_; }
  // The newest unit that was answered had been sent so long before. `was_full`: more would have
  // been sent if they were allowed to.
  void on_answers(Duration took, bool was_full) {
    quickest_ = std::min(quickest_, took);
    if (took > quickest_ + kQueue) {
      units_ = std::max(kLeast, units_ - units_ / 8);
    } else if (was_full) {
      units_ = std::min(kMost, units_ + units_ / 8);
    }
  }
  // A new connection: another way, perhaps.
  void reset() { *this = {}; }

 private:
  size_t units_ = kMost;
  Duration quickest_ = Duration::max() - kQueue;
};

}  // namespace nb::redis
