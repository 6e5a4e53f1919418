#include "base/histogram.h"

#include <algorithm>
#include <bit>

namespace nb {

size_t Histogram::bucket_of(uint64_t nanoseconds) {
  if (nanoseconds < (uint64_t{1} << kFirstBit)) return 0;
  const auto octave = static_cast<unsigned>(std::bit_width(nanoseconds)) - 1;
  const uint64_t step = (nanoseconds >> (octave - 3)) & (kSteps - 1);
  return std::min(kBuckets - 1, static_cast<size_t>(1 + (octave - kFirstBit) * kSteps + step));
}

uint64_t Histogram::upper_bound(size_t bucket) {
  if (bucket == 0) return (uint64_t{1} << kFirstBit) - 1;
  const unsigned octave = kFirstBit + static_cast<unsigned>((bucket - 1) / kSteps);
  const uint64_t step = (bucket - 1) % kSteps;
  return ((kSteps + step + 1) << (octave - 3)) - 1;
}

void Histogram::record(Duration duration) {
  const Duration positive = std::max(duration, Duration::zero());
  uint32_t& bucket = buckets_[bucket_of(static_cast<uint64_t>(positive.count()))];
  // A bucket is full after months. All are halved together, so the proportions stay.
  if (bucket == UINT32_MAX) {
    for (uint32_t& each : buckets_) each /= 2;
  }
  ++bucket;
  ++count_;
  sum_ += positive;
  if (positive > max_) max_ = positive;
}

Duration Histogram::quantile(double q) const {
  uint64_t total = 0;
  for (const uint32_t n : buckets_) total += n;
  if (total == 0) return {};
  const double wanted = std::clamp(q, 0.0, 1.0) * static_cast<double>(total);
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (buckets_[i] > 0 && static_cast<double>(seen) >= wanted) {
      // The last bucket has no end of its own.
      if (i == kBuckets - 1) return max_;
      return std::min(max_, Duration(static_cast<int64_t>(upper_bound(i))));
    }
  }
  return max_;
}

}  // namespace nb
