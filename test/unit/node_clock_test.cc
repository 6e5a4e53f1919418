// Unit tests of node/clock_watch: steps of this computer's clock, and how far it is from Redis'.
#include <gtest/gtest.h>

#include "node/clock_watch.h"
#include "redis/server_clock.h"

namespace nb::node {
namespace {

using namespace std::chrono_literals;

class ClockSteps : public testing::Test {
 protected:
  // A look that takes `span`, when the wall clock is `ahead` of where it began.
  std::optional<Duration> look(Duration ahead, Duration span = 200ns) {
    ClockWatch::Look look;
    look.before = MonoTime(time_);
    look.after = look.before + span;
    // The thread may be stopped between the two.
    look.since_boot = time_ + asleep_ + span / 4;
    look.wall = WallTime(std::chrono::round<WallTime::duration>(1'700'000'000s + time_ + asleep_ +
                                                                span * 3 / 4 + ahead));
    time_ += 5s;
    return clocks_.step(look);
  }

  ClockWatch clocks_;
  Duration time_ = 1000s;
  Duration asleep_{};
};

TEST_F(ClockSteps, ASuspendedComputersClockWasNotSet) {
  look(0s);
  asleep_ = 8h;
  EXPECT_FALSE(look(0s));
  const auto step = look(1h);
  ASSERT_TRUE(step);
  EXPECT_LT(std::chrono::abs(*step - 1h), 1ms);
}

TEST_F(ClockSteps, AreToldOnceWithTheirDirection) {
  EXPECT_FALSE(look(0s)) << "the first look has nothing to compare with";
  EXPECT_FALSE(look(0s));
  const auto forward = look(1h);
  ASSERT_TRUE(forward);
  EXPECT_LT(std::chrono::abs(*forward - 1h), 1ms);
  EXPECT_FALSE(look(1h));
  const auto back = look(-24h);
  ASSERT_TRUE(back);
  EXPECT_LT(std::chrono::abs(*back + 25h), 1ms);
  EXPECT_FALSE(look(-24h));
}

TEST_F(ClockSteps, AreNotSeenInWhatALookMayBeOff) {
  look(0s);
  EXPECT_FALSE(look(5ms)) << "so little matters to nobody";
  EXPECT_FALSE(look(0s, 1s)) << "this thread was stopped in the midst of it";
  EXPECT_FALSE(look(450ms)) << "of the look before the middle is not known better";
  EXPECT_TRUE(look(500ms)) << "but of two good ones it is";
}

TEST(ClockOffset, IsToldWhenItIsTooLargeAndWhenThatIsOver) {
  using V = ClockWatch::Verdict;
  ClockWatch clocks;
  EXPECT_EQ(clocks.judge(25ms, 0ms), V::same);
  EXPECT_EQ(clocks.judge(26ms, 0ms), V::wrong);
  EXPECT_EQ(clocks.judge(1h, 0ms), V::same) << "once";
  EXPECT_EQ(clocks.judge(-24ms, 0ms), V::same) << "not at each side of the limit";
  EXPECT_EQ(clocks.judge(26ms, 0ms), V::same);
  EXPECT_EQ(clocks.judge(-19ms, 0ms), V::right);
  EXPECT_EQ(clocks.judge(0ms, 0ms), V::same);
  EXPECT_EQ(clocks.judge(-26ms, 0ms), V::wrong);
}

TEST(ClockOffset, IsNotJudgedBeyondWhatIsKnown) {
  using V = ClockWatch::Verdict;
  ClockWatch clocks;
  EXPECT_EQ(clocks.judge(100ms, 80ms), V::same) << "a slow way to Redis";
  EXPECT_EQ(clocks.judge(106ms, 80ms), V::wrong);
  EXPECT_EQ(clocks.judge(0ms, 80ms), V::same) << "perhaps it is still wrong";
  EXPECT_EQ(clocks.judge(0ms, 1ms), V::right);
}

TEST(ServerClock, KnowsHowFarOffAReadingMayBe) {
  redis::ServerClock clock;
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
  redis::ServerClock clock_;
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
}  // namespace nb::node
