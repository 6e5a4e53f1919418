// Backoff: how long to wait before the next try. Pure: the class draws numbers and knows no clock.
#pragma once

#include "base/clock.h"
#include "base/random.h"

namespace nb {

// Capped exponential backoff with full jitter: the window doubles from `base` to `cap`, the delay
// is uniform in [0, window) ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
// While the window is still below the cap, no delay is longer than `early_limit`: a server that
// comes back soon is found soon; a server that stays away is asked at the cap's pace.
class Backoff {
 public:
  struct Limits {
    Duration base = std::chrono::milliseconds(100);
    Duration cap = std::chrono::seconds(5);
    Duration early_limit = std::chrono::milliseconds(900);
  };

  Backoff(Limits limits, Random random) : limits_(limits), random_(random) {}

  // The delay before the next try; each call widens the window until it is the cap.
  Duration next();
  // A delay from the full window at once, for a cause that will not pass soon (a wrong password).
  Duration next_at_cap();
  // After a stable spell: start again from `base`.
  void reset() { failures_ = 0; }

  bool at_cap() const;
  // Other limits from the next delay on. The failures so far still count.
  void set_limits(Limits limits) { limits_ = limits; }

 private:
  Duration window() const;
  Duration draw(Duration window);

  Limits limits_;
  Random random_;
  unsigned failures_ = 0;
};

}  // namespace nb
