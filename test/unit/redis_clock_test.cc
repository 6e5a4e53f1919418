// Unit tests of redis/server_clock: what time it is on the server, by readings of its clock.
#include <gtest/gtest.h>

#include "redis/server_clock.h"

namespace nb::redis {
namespace {

using namespace std::chrono_literals;

TEST(ServerClock, KnowsHowFarOffAReadingMayBe) {
  ServerClock clock;
  EXPECT_EQ(clock.read_at(), MonoTime::min());
  EXPECT_FALSE(clock.now(MonoTime(5s)));
  clock.read(WallTime(100s), MonoTime(10s), MonoTime(10s + 30ms));
  EXPECT_EQ(clock.uncertainty(), 15ms);
  EXPECT_EQ(clock.read_at(), MonoTime(10s + 30ms));
  EXPECT_EQ(*clock.now(MonoTime(11s + 30ms)), WallTime(101s + 15ms));
}

class ServerClockTest : public testing::Test {
 protected:
  // After `at` on the own clock the server, whose clock is `ahead`, tells its time; the answer is
  // known after `took`.
  void read(Duration at, Duration took, Duration ahead = 0s) {
    clock_.read(WallTime(std::chrono::round<WallTime::duration>(kBegin + at + took / 2 + ahead)),
                MonoTime(at), MonoTime(at + took));
  }
  // How far the server's clock is believed to be ahead.
  Duration ahead(Duration at) const { return since(*clock_.now(MonoTime(at)), at); }
  std::optional<Duration> ahead_before(Duration at) const {
    const auto time = clock_.before_set(MonoTime(at));
    return time ? std::optional(since(*time, at)) : std::nullopt;
  }
  static Duration since(WallTime time, Duration at) {
    return time.time_since_epoch() - (kBegin + at);
  }

  static constexpr Duration kBegin = 1'700'000'000s;
  ServerClock clock_;
};

TEST_F(ServerClockTest, ALessExactReadingOnlyConfirms) {
  read(100s, 200us);
  read(101s, 1800ms, 700ms);
  EXPECT_EQ(ahead(103s), 0s) << "it may be off by 900 ms";
  EXPECT_EQ(clock_.read_at(), MonoTime(102800ms)) << "but the server has told its time";
  EXPECT_GE(clock_.uncertainty(), 1ms) << "two clocks drift apart";
  EXPECT_LE(clock_.uncertainty(), 3ms);
  read(104s, 1ms, 1ms);
  EXPECT_EQ(ahead(105s), 1ms) << "a more exact one";
  EXPECT_FALSE(ahead_before(105s));
}

TEST_F(ServerClockTest, AReadingThatContradictsIsBelieved) {
  read(100s, 200us);
  read(101s, 1800ms, 1s);
  EXPECT_EQ(ahead(103s), 1s) << "more than the 900 ms by which it may be off";
  EXPECT_EQ(ahead_before(103s), 0s);
  EXPECT_EQ(ahead_before(112800ms), 0s);
  EXPECT_FALSE(ahead_before(112801ms)) << "everybody has read the clock by then";
}

TEST_F(ServerClockTest, WhatIsSetBackAndForthIsRememberedAsItWasLast) {
  read(100s, 200us);
  read(101s, 200us, -1h);
  EXPECT_EQ(ahead_before(101s), 0s);
  read(102s, 200us, 20s);
  EXPECT_EQ(ahead(103s), 20s);
  EXPECT_EQ(ahead_before(103s), -1h);
  read(103s, 200us, 20s + 50ms);
  EXPECT_EQ(ahead(104s), 20s + 50ms);
  EXPECT_EQ(ahead_before(104s), -1h + 50ms) << "so little makes no message too late";
}

}  // namespace
}  // namespace nb::redis
