// SendWindow: how many units may be under way at a time. A new unit has to wait for all units under
// way. So no more units are under way than a slow or busy server answers within some milliseconds,
// however many wait. Pure.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/clock.h"

namespace nb::redis {

class SendWindow {
 public:
  struct Limits {
    size_t most = 0;
    size_t least = 0;
    // An answer may take this much longer than the quickest one before fewer units are sent at a
    // time.
    Duration queue{};
  };
  // For the link: enough units to keep a local server busy through a round trip, and few enough
  // that one deadline covers them all. What is under way is also what a client's next write waits
  // for, so no more than a millisecond of it is wanted.
  static constexpr Limits kWrites = {1024, 32, std::chrono::milliseconds(1)};
  // For the reader: a question may cost the server a hundred times as much as a write does, and a
  // server that has begun to answer one connection's questions looks at no other connection.
  // Sixteen are enough for a walk over a cell even where every round trip takes 10 ms.
  static constexpr Limits kQuestions = {64, 16, std::chrono::milliseconds(1)};

  explicit SendWindow(const Limits& limits)
      : limits_(limits), units_(limits.most), quickest_(Duration::max() - limits.queue) {}

  size_t units() const { return units_; }
  // `took`: how long the unit that was answered last had been under way. `was_full`: more units
  // would have been sent if that had been allowed.
  void on_answers(Duration took, bool was_full) {
    quickest_ = std::min(quickest_, took);
    if (took > quickest_ + limits_.queue) {
      units_ = std::max(limits_.least, units_ - step());
    } else if (was_full) {
      units_ = std::min(limits_.most, units_ + step());
    }
  }
  // For a new connection, which may lead another way.
  void reset() { *this = SendWindow(limits_); }

 private:
  size_t step() const { return std::max<size_t>(units_ / 8, 1); }

  Limits limits_;
  size_t units_;
  Duration quickest_;
};

}  // namespace nb::redis
