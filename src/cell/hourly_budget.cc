#include "cell/hourly_budget.h"

#include <algorithm>

namespace nb::cell {
namespace {

constexpr double kHour = 3600e9;  // ns

}  // namespace

// The amount that still counts as spent after a while.
double HourlyBudget::left_of(const Spent& spent, MonoTime now) const {
  const double back =
      static_cast<double>((now - spent.at).count()) / kHour * static_cast<double>(an_hour_);
  return std::max(spent.amount - back, 0.0);
}

bool HourlyBudget::spend(uint64_t who, uint64_t amount, MonoTime now) {
  auto at = std::find_if(spent_.begin(), spent_.end(),
                         [&](const Spent& spent) { return spent.who == who; });
  if (at == spent_.end()) {
    std::erase_if(spent_, [&](const Spent& spent) { return left_of(spent, now) == 0; });
    spent_.push_back({who, 0, now});
    at = spent_.end() - 1;
  }
  at->amount = left_of(*at, now);
  at->at = now;
  if (at->amount + static_cast<double>(amount) > static_cast<double>(an_hour_)) return false;
  at->amount += static_cast<double>(amount);
  return true;
}

void HourlyBudget::give_back(uint64_t who, uint64_t amount) {
  for (Spent& spent : spent_) {
    if (spent.who != who) continue;
    spent.amount = std::max(spent.amount - static_cast<double>(amount), 0.0);
  }
}

}  // namespace nb::cell
