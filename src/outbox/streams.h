// Streams: what is known about the streams that were written last. It keeps the size of their
// entries, so that a stream is bounded in bytes and not only in entries, and the time at which
// their time to live was last set. Forgetting a stream costs one PEXPIRE more. Pure.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace nb::outbox {

class Streams {
 public:
  struct Bounds {
    uint64_t max_length = 0;  // for MAXLEN ~; 0: unbounded
    bool expire = false;      // the TTL is to be set now
    uint64_t least_ms = 0;    // the id of an entry has to begin with at least this
  };
  // For the next entry of `entry_bytes`. `max_length`, `max_bytes`, `ttl`: as in EntryUpdate.
  Bounds next(int db, std::string_view stream, uint64_t entry_bytes, uint64_t max_length,
              uint64_t max_bytes, Duration ttl, MonoTime now);
  // Redis has stored an entry by an id of its own choice, which begins with `ms`.
  void stored(int db, std::string_view stream, uint64_t ms);
  // For when Redis may have lost the streams, or has refused something.
  void forget_all() { streams_.clear(); }

 private:
  struct Stream {
    uint64_t number = 0;  // a hash of db and name
    uint64_t mean = 0;    // 64 times the mean size of an entry, the latest counting most
    MonoTime expire_sent = MonoTime::min();
    MonoTime used{};
    uint64_t least_ms = 0;
  };
  static uint64_t number_of(int db, std::string_view name);
  Stream& find(uint64_t number, uint64_t entry_bytes);

  std::vector<Stream> streams_;
  size_t last_ = 0;
};

}  // namespace nb::outbox
