// Histogram: counts durations in buckets an eighth of an octave wide, from 128 ns to two minutes.
// It has a fixed size, never allocates, and takes a few nanoseconds for a duration.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace nb {

class Histogram {
 public:
  // A negative duration counts as 0.
  void record(Duration duration);

  uint64_t count() const { return count_; }
  Duration max() const { return max_; }
  Duration sum() const { return sum_; }
  // The duration that the fraction `q` of all durations does not exceed, rounded up to the end of
  // its bucket (at most an eighth too much) and never above max(). 0 if nothing was recorded.
  Duration quantile(double q) const;
  // Calls visit(up_to, count) for each octave in which something was recorded: `count` durations
  // were at most `up_to`, and longer than half of it.
  template <class Visit>
  void for_each_octave(Visit visit) const {
    uint64_t count = 0;
    for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
      count += buckets_[bucket];
      if (bucket % kSteps != 0) continue;
      if (count > 0) visit(Duration(static_cast<int64_t>(upper_bound(bucket))), count);
      count = 0;
    }
  }

 private:
  static constexpr unsigned kFirstBit = 7;  // everything below 2^7 ns is one bucket
  static constexpr unsigned kSteps = 8;     // buckets an octave
  static constexpr size_t kBuckets = 1 + 30 * kSteps;
  static size_t bucket_of(uint64_t nanoseconds);
  static uint64_t upper_bound(size_t bucket);

  std::array<uint32_t, kBuckets> buckets_{};
  uint64_t count_ = 0;
  Duration max_{};
  Duration sum_{};
};

static_assert(sizeof(Histogram) < 1024);

}  // namespace nb
