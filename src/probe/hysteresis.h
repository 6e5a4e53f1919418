// Hysteresis: from single tries to a verdict that does not flap. Pure.
#pragma once

#include <optional>

namespace nb::probe {

class Hysteresis {
 public:
  // Up after so many successes in a row, down after so many failures in a row; 0 counts as 1. The
  // first verdict follows the same rule, so with up_after = 1 a first success decides at once.
  Hysteresis(unsigned up_after, unsigned down_after)
      : up_after_(up_after), down_after_(down_after) {}

  // True if this try changed the verdict.
  bool add(bool success) {
    if (success != last_) run_ = 0;
    last_ = success;
    const unsigned wanted = success ? up_after_ : down_after_;
    if (run_ < wanted) ++run_;
    if (run_ < wanted || (known_ && up_ == success)) return false;
    known_ = true;
    up_ = success;
    return true;
  }

  // Nothing until enough tries agreed.
  std::optional<bool> verdict() const { return known_ ? std::optional(up_) : std::nullopt; }

 private:
  unsigned up_after_;
  unsigned down_after_;
  unsigned run_ = 0;  // tries in a row that ended like the last
  bool last_ = false;
  bool known_ = false;
  bool up_ = false;
};

}  // namespace nb::probe
