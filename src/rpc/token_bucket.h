// TokenBucket: how often one client may do something in a second. A full bucket holds one second's
// worth, so a client that was silent may use that much at once. The bucket is one point in time:
// when it is full again. Pure; the caller passes the time.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace nb::rpc {

class TokenBucket {
 public:
  TokenBucket() = default;
  // 0: no limit.
  explicit TokenBucket(uint64_t per_second) {
    if (per_second != 0) price_ = kSecond / static_cast<int64_t>(per_second);
  }

  // Takes one, if there is one: zero. Else how long it takes until there is one.
  Duration take(MonoTime now) {
    const MonoTime full = std::max(full_, now) + price_;
    if (full - now > kSecond) return full - now - kSecond;
    full_ = full;
    return Duration::zero();
  }

 private:
  static constexpr Duration kSecond = std::chrono::seconds(1);

  Duration price_{};  // of one, in time
  MonoTime full_{};
};

// Of one client; they end with it.
struct ClientLimits {
  TokenBucket calls, events;
};

}  // namespace nb::rpc
