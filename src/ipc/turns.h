// Turns: which client is served next, and for how long. The loop has one thread, so all clients
// wait while one is served. Calls differ a thousandfold in their cost, so a turn is a span of time
// and not a number of calls. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace nb::ipc {

// A client's turn ends after this time, even in the middle of a batch, and the rest follows when
// the others have had their turns. The cost of one call is bounded elsewhere.
inline constexpr Duration kTurn = std::chrono::microseconds(250);
// After turns of this time together, the loop serves everything else before the next turn.
inline constexpr Duration kRound = 2 * kTurn;
// A new client counts as if it had used this time already, so it comes after clients that ask for
// little.
inline constexpr Duration kStranger = std::chrono::milliseconds(1);
// A client that is gone and has a will comes before new clients, one of which may be its successor;
// but not if it had used this time.
inline constexpr Duration kBusy = 8 * kStranger;
// No turn counts as longer. Turns end after kTurn and one more call; what is far above, the kernel
// has given to another process.
inline constexpr Duration kLongestTurn = 4 * kTurn;

// The time that a client has taken recently: it halves every 100 ms. The client that has taken
// least is served first, so a client that asks for little never waits for those that ask for all
// they can.
class Spent {
 public:
  Spent(Duration taken, MonoTime now) : taken_(taken), since_(now) {}

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

// What clients that have gone had taken lately, by user. A new client of the user begins with it.
// Otherwise a program that connects anew for each few calls would always be a stranger, and go
// before a client that has taken a little more than a stranger.
class TakenByTheGone {
 public:
  void add(uint32_t user, Duration time, MonoTime now) {
    std::erase_if(entries_, [&](Entry& entry) {
      return entry.user != user && entry.spent.lately(now) < std::chrono::microseconds(1);
    });
    for (Entry& entry : entries_) {
      if (entry.user == user) return entry.spent.add(time, now);
    }
    entries_.push_back({user, Spent(time, now)});
  }
  Duration lately(uint32_t user, MonoTime now) {
    for (Entry& entry : entries_) {
      if (entry.user == user) return entry.spent.lately(now);
    }
    return {};
  }

 private:
  struct Entry {
    uint32_t user;
    Spent spent;
  };

  std::vector<Entry> entries_;
};

// Decides when a turn is over. It reads the clock only now and then: where calls are cheap, reading
// the clock costs a tenth of a call.
class TurnEnd {
 public:
  void begin(MonoTime now) {
    end_ = now + kTurn;
    cost_ = 0;
    over_ = false;
  }
  bool over() const { return over_; }
  // The clock was read for another reason.
  void see(MonoTime now) {
    over_ |= now >= end_;
    cost_ = 0;
  }
  // Counts so many bytes of a client's line or call. Returns whether the turn is over.
  template <class Now>
  bool after(size_t bytes, Now&& now) {
    cost_ += kCall + bytes;
    if (over_ || cost_ < kLook) return over_;
    cost_ = 0;
    return over_ = now() >= end_;
  }

 private:
  // The clock is read after eight calls, or after fewer if they are long.
  static constexpr size_t kCall = 1024;
  static constexpr size_t kLook = 8 * kCall;

  MonoTime end_{};
  size_t cost_ = 0;
  bool over_ = true;
};

}  // namespace nb::ipc
