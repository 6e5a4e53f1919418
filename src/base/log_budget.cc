#include "base/log_budget.h"

#include <algorithm>

#include "base/hash.h"

namespace nb {

LogAbout::LogAbout(std::string_view name) {
  id = hash_of(name);
  if (id == 0) id = 1;
}

void LogLimit::refill(MonoTime now, uint64_t per_minute) {
  const auto most = static_cast<double>(per_minute);
  if (tokens_ < 0) {
    tokens_ = most;
  } else {
    const std::chrono::duration<double, std::ratio<60>> minutes = now - asked_;
    tokens_ = std::clamp(tokens_ + minutes.count() * most, 0.0, most);
  }
  asked_ = now;
}

bool LogLimit::has_room(MonoTime now, uint64_t per_minute) {
  if (per_minute == 0) return true;
  refill(now, per_minute);
  return tokens_ >= 1;
}

bool LogLimit::take(MonoTime now, uint64_t per_minute) {
  if (!has_room(now, per_minute)) return false;
  if (per_minute != 0) tokens_ -= 1;
  return true;
}

LogBudget::Share& LogBudget::share_of(const char* kind, uint64_t about) {
  for (Share& share : shares_) {
    if (share.kind == kind && share.about == about) return share;
  }
  Share& share = make_room();
  share = Share{};
  share.kind = kind;
  share.about = about;
  return share;
}

// If there are too many shares, the one that was used longest ago is dropped. The shares of whole
// kinds stay: there are no more of them than calls in the source, and they take over the counts of
// the others.
LogBudget::Share& LogBudget::make_room() {
  if (shares_.size() < kMaxShares) {
    shares_.push_back(Share{});
    return shares_.back();
  }
  Share* oldest = nullptr;
  for (Share& share : shares_) {
    const bool sooner = oldest == nullptr || (share.about != 0) > (oldest->about != 0) ||
                        ((share.about != 0) == (oldest->about != 0) &&
                         share.limit.last_asked() < oldest->limit.last_asked());
    if (sooner) oldest = &share;
  }
  for (Share& share : shares_) {
    if (share.kind != oldest->kind || share.about != 0 || &share == oldest) continue;
    if (share.left_out == 0) {
      share.level = oldest->level;
      share.sample_size = oldest->sample_size;
      std::copy_n(oldest->sample, oldest->sample_size, share.sample);
    }
    share.left_out += oldest->left_out;
  }
  return *oldest;
}

LogBudget::Share* LogBudget::ask(const char* kind, LogAbout about, MonoTime now, bool& taken) {
  taken = true;
  if (per_minute_ == 0) return nullptr;
  if (about.id == 0) {
    Share& share = share_of(kind, 0);
    taken = share.limit.take(now, per_minute_);
    if (!taken) ++share.left_out;
    return &share;
  }
  // This comes first, since making room for the other share must neither move nor remove this one.
  (void)share_of(kind, 0);
  Share& one = share_of(kind, about.id);
  Share& all = share_of(kind, 0);
  all.factor = kAllTogether;
  Share* told = &one;
  if (!one.limit.has_room(now, per_minute_)) {
    taken = false;
  } else if (!all.limit.take(now, per_minute_ * all.factor)) {
    taken = false;
    told = &all;
  } else {
    (void)one.limit.take(now, per_minute_);
  }
  if (!taken) ++told->left_out;
  return told;
}

LogBudget::Share* LogBudget::next_told(MonoTime now, bool all) {
  for (Share& share : shares_) {
    if (share.left_out == 0) continue;
    if (all || share.limit.has_room(now, per_minute_ * share.factor)) return &share;
  }
  return nullptr;
}

}  // namespace nb
