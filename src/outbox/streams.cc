#include "outbox/streams.h"

#include <algorithm>
#include <functional>

namespace nb::outbox {
namespace {

// More streams are seldom written at a time.
constexpr size_t kKnown = 256;
// A stream keeps so many entries, however large they are.
constexpr uint64_t kLeastLength = 16;
// About the memory that Redis takes for an entry besides its texts.
constexpr uint64_t kEntryOverhead = 32;
// A time to live is set again after this part of it.
constexpr int kRenewals = 8;

}  // namespace

Streams::Stream& Streams::find(uint64_t number, uint64_t entry_bytes) {
  if (last_ < streams_.size() && streams_[last_].number == number) return streams_[last_];
  auto at = std::find_if(streams_.begin(), streams_.end(),
                         [&](const Stream& stream) { return stream.number == number; });
  if (at == streams_.end()) {
    if (streams_.size() < kKnown) {
      streams_.push_back({});
      at = streams_.end() - 1;
    } else {
      at = std::min_element(streams_.begin(), streams_.end(),
                            [](const Stream& a, const Stream& b) { return a.used < b.used; });
      *at = {};
    }
    at->number = number;
    at->mean = entry_bytes * 64;
  }
  last_ = static_cast<size_t>(at - streams_.begin());
  return *at;
}

uint64_t Streams::number_of(int db, std::string_view name) {
  return std::hash<std::string_view>()(name) ^ static_cast<uint64_t>(db) * 0x9e3779b97f4a7c15u;
}

void Streams::stored(int db, std::string_view name, uint64_t ms) {
  const uint64_t number = number_of(db, name);
  for (Stream& stream : streams_) {
    if (stream.number == number) stream.least_ms = ms + 1;
  }
}

Streams::Bounds Streams::next(int db, std::string_view name, uint64_t entry_bytes,
                              uint64_t max_length, uint64_t max_bytes, Duration ttl, MonoTime now) {
  entry_bytes += kEntryOverhead;
  Stream& stream = find(number_of(db, name), entry_bytes);
  stream.mean += entry_bytes - stream.mean / 64;
  stream.used = now;
  Bounds bounds{max_length, false, stream.least_ms};
  if (max_bytes > 0) {
    const uint64_t fits = std::max(max_bytes / (stream.mean / 64), kLeastLength);
    bounds.max_length = max_length > 0 ? std::min(max_length, fits) : fits;
  }
  bounds.expire = ttl > Duration::zero() && (stream.expire_sent == MonoTime::min() ||
                                             now - stream.expire_sent >= ttl / kRenewals);
  if (bounds.expire) stream.expire_sent = now;
  return bounds;
}

}  // namespace nb::outbox
