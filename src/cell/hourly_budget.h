// HourlyBudget: how much each owner may do within an hour: the programs of a user, or a client. The
// budget is refilled steadily.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace nb::cell {

class HourlyBudget {
 public:
  explicit HourlyBudget(uint64_t an_hour) : an_hour_(an_hour) {}

  void set_limit(uint64_t an_hour) { an_hour_ = an_hour; }
  uint64_t limit() const { return an_hour_; }
  // Whether this much is left; then it is spent.
  bool spend(uint64_t who, uint64_t amount, MonoTime now);
  // It will not come back.
  void forget(uint64_t who) {
    std::erase_if(spent_, [&](const Spent& spent) { return spent.who == who; });
  }
  // An amount that was just spent was not needed.
  void give_back(uint64_t who, uint64_t amount);

 private:
  struct Spent {
    uint64_t who = 0;
    double amount = 0;  // as of `at`
    MonoTime at{};
  };
  double left_of(const Spent& spent, MonoTime now) const;

  uint64_t an_hour_;
  std::vector<Spent> spent_;
};

}  // namespace nb::cell
