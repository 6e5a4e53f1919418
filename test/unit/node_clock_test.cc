// Unit tests of node/clock_watch: steps of this computer's clock, and how far it is from Redis'.
#include <gtest/gtest.h>

#include "node/clock_watch.h"

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

}  // namespace
}  // namespace nb::node
