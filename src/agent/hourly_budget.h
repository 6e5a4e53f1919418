// HourlyBudget: how much each user's programs may do within an hour. It counts by user and not by
// connection, since a new connection is easily had. What was spent comes back bit by bit.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace nb::agent {

class HourlyBudget {
 public:
  explicit HourlyBudget(uint64_t an_hour) : an_hour_(an_hour) {}

  void set_limit(uint64_t an_hour) { an_hour_ = an_hour; }
  uint64_t limit() const { return an_hour_; }
  // Whether there is so much left; it is spent then.
  bool spend(uint32_t user, uint64_t amount, MonoTime now);

 private:
  struct Spent {
    uint32_t user = 0;
    double amount = 0;  // as of `at`
    MonoTime at{};
  };
  double left_of(const Spent& spent, MonoTime now) const;

  uint64_t an_hour_;
  std::vector<Spent> spent_;
};

}  // namespace nb::agent
