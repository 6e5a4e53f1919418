// Turns: who of the clients is served next, and for how long. The loop has one thread, so what one
// client costs it, all others wait for: calls differ a thousandfold in that, so turns are counted
// in time and not in calls. Pure.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/clock.h"

namespace nb::ipc {

// A client's turn ends after so long, even in the midst of a batch, and goes on when the others
// have had theirs. What one call costs is bounded elsewhere.
inline constexpr Duration kTurn = std::chrono::microseconds(250);
// When so much was spent on turns, the loop looks at everything else before the next turn.
inline constexpr Duration kRound = 2 * kTurn;
// A client begins as if it had taken so much already: strangers come after those who ask little.
inline constexpr Duration kStranger = std::chrono::milliseconds(1);
// A client that is gone, and had not taken so much, comes before strangers: one may be its
// successor.
inline constexpr Duration kBusy = 8 * kStranger;

// What a client has taken of late: it halves each 100 ms. Who has taken least is served first, so
// that a client that asks for little never waits for those that ask for all they can.
class Spent {
 public:
  explicit Spent(MonoTime now) : taken_(kStranger), since_(now) {}

  void add(Duration time, MonoTime now) { taken_ = lately(now) + time; }
  Duration lately(MonoTime now) {
    if (const auto halvings = (now - since_) / kHalf; halvings > 0) {
      taken_ /= int64_t{1} << std::min<int64_t>(halvings, 62);
      since_ += halvings * kHalf;
    }
    return taken_;
  }

 private:
  static constexpr Duration kHalf = std::chrono::milliseconds(100);

  Duration taken_;
  MonoTime since_;
};

// The clock is looked at only now and then: where calls are cheap, a look costs as much as a
// tenth of a call.
class TurnEnd {
 public:
  void begin(MonoTime now) {
    end_ = now + kTurn;
    cost_ = 0;
    over_ = false;
  }
  bool over() const { return over_; }
  // It was looked at for another reason.
  void see(MonoTime now) {
    over_ |= now >= end_;
    cost_ = 0;
  }
  // So many bytes of a client's line or call were dealt with. True: the turn is over.
  template <class Now>
  bool after(size_t bytes, Now&& now) {
    cost_ += kCall + bytes;
    if (over_ || cost_ < kLook) return over_;
    cost_ = 0;
    return over_ = now() >= end_;
  }

 private:
  // The clock is looked at after eight calls, or fewer long ones.
  static constexpr size_t kCall = 1024;
  static constexpr size_t kLook = 8 * kCall;

  MonoTime end_{};
  size_t cost_ = 0;
  bool over_ = true;
};

}  // namespace nb::ipc
