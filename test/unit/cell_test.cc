// Unit tests of cell/: its smaller parts. Each noun has a file of its own.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cell/ended_sessions.h"
#include "cell/hourly_budget.h"
#include "cell/recorded_channels.h"

namespace nb::cell {
namespace {

using namespace std::chrono_literals;

TEST(HourlyBudget, IsEachUsersAndComesBackBitByBit) {
  using namespace std::chrono_literals;
  const MonoTime start{1000s};
  HourlyBudget budget(3600);
  EXPECT_TRUE(budget.spend(1, 3600, start));
  EXPECT_FALSE(budget.spend(1, 1, start)) << "all at once, and no more";
  EXPECT_TRUE(budget.spend(2, 1, start));
  EXPECT_TRUE(budget.spend(1, 10, start + 10s));
  EXPECT_FALSE(budget.spend(1, 1, start + 10s));
  budget.give_back(1, 5);
  EXPECT_TRUE(budget.spend(1, 5, start + 10s));
  EXPECT_FALSE(budget.spend(1, 1, start + 10s));
  EXPECT_FALSE(budget.spend(1, 3601, start + 10h));
  EXPECT_TRUE(budget.spend(1, 3600, start + 10h));
}

TEST(HourlyBudget, ForgetsClientsThatHaveGone) {
  HourlyBudget budget(10);
  const MonoTime now{std::chrono::hours(5)};
  EXPECT_TRUE(budget.spend(1, 10, now));
  EXPECT_FALSE(budget.spend(1, 1, now));
  budget.forget(1);
  EXPECT_TRUE(budget.spend(1, 10, now));
}

TEST(RecordedChannels, EachHasAStreamUpToAShareOfEachClientAndUser) {
  using namespace std::chrono_literals;
  const MonoTime start{1000s};
  RecordedChannels channels("ook", {8, 100, 100, 1h});
  const auto stream = [&](std::string_view channel, outbox::Owner owner, uint32_t user,
                          MonoTime now) {
    return std::string(channels.stream_of(channel, owner, user, now));
  };
  EXPECT_EQ(stream("a", 1, 7, start), "stream:events:ook:a");
  EXPECT_EQ(stream("b", 1, 7, start), "stream:events:ook:b");
  EXPECT_EQ(stream("c", 1, 7, start), "stream:events:ook") << "a client has a quarter of them";
  EXPECT_EQ(stream("a", 1, 7, start), "stream:events:ook:a");
  for (const outbox::Owner owner : {2u, 3u}) {
    EXPECT_EQ(stream("d" + std::to_string(owner), owner, 7, start).substr(0, 18),
              "stream:events:ook:");
    EXPECT_EQ(stream("e" + std::to_string(owner), owner, 7, start).substr(0, 18),
              "stream:events:ook:");
  }
  EXPECT_EQ(stream("c", 4, 7, start), "stream:events:ook") << "a user has three quarters of them";
  EXPECT_EQ(stream("f", 5, 8, start), "stream:events:ook:f");
  EXPECT_EQ(stream("g", 5, 8, start), "stream:events:ook:g");
  EXPECT_EQ(stream("c", 6, 9, start), "stream:events:ook") << "and there are no more";
  EXPECT_EQ(stream("b", 5, 8, start + 30min), "stream:events:ook:b");
  // A stream that has expired in Redis makes room.
  EXPECT_EQ(stream("c", 5, 8, start + 61min), "stream:events:ook:c");
  EXPECT_EQ(stream("b", 1, 7, start + 61min), "stream:events:ook:b");
}

TEST(EndedSessions, TogetherHoldNoMoreThanTheLimit) {
  using namespace std::chrono_literals;
  constexpr uint64_t kUnit = EndedSessions::kLeastBytes;
  const MonoTime start{1000s};
  EndedSessions sessions;
  const auto add = [&](const char* name, uint64_t user, uint64_t bytes) {
    sessions.add(name, user, bytes, start + 1h);
  };
  const auto excess = [&](MonoTime now) { return sessions.take_excess(4 * kUnit, now); };
  add("a", 1, 0);  // counts as one unit
  add("b", 2, 0);
  add("c", 2, kUnit);
  add("d", 2, kUnit);
  EXPECT_EQ(excess(start), std::nullopt);
  add("e", 1, kUnit + 1);
  EXPECT_EQ(excess(start), "b") << "the oldest of the user with most";
  EXPECT_EQ(excess(start), "a") << "now the other user has most";
  EXPECT_EQ(excess(start), std::nullopt);
  add("f", 3, 9 * kUnit);
  EXPECT_EQ(excess(start), "f") << "the oldest of its user, and the only one";
  EXPECT_EQ(excess(start), std::nullopt);
  // What has expired counts no more.
  sessions.add("g", 1, 4 * kUnit, start + 3h);
  EXPECT_EQ(excess(start + 2h), std::nullopt);
}

}  // namespace
}  // namespace nb::cell
