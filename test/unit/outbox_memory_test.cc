// What the outbox and the pipeline allocate: nothing for an update that is like those before.
#include <gtest/gtest.h>

#include <string>

#include "outbox/outbox.h"
#include "support/count_allocations.h"
#include "support/pipeline_wire.h"
#include "support/updates.h"

namespace nb::outbox {
namespace {

using namespace std::chrono_literals;

const MonoTime kStart{1000s};

struct Sink {
  explicit Sink(Outbox& box) : outbox(box) {}
  void on_settled(const Unit& unit, const redis::UnitResult& result) {
    outbox.settled(unit, kStart, result.subscribers, result.refusals);
    stored += !result.refusals.any();
  }
  void on_aborted(const Unit& unit) { outbox.aborted(unit); }
  Outbox& outbox;
  int stored = 0;
};

struct Listener {
  int heard = 0;
  void on_settled(const Settled&) { ++heard; }
};

TEST(OutboxMemory, AnUpdateLikeThoseBeforeCostsNoAllocation) {
  if (!test::kCountsAllocations) GTEST_SKIP() << "a sanitizer has the heap";
  Outbox outbox({"hog", "hog-1", {}});
  Listener listener;
  outbox.set_on_settled(Delegate<void(const Settled&)>::to<&Listener::on_settled>(&listener));
  outbox.connection_opened();
  Sink sink(outbox);
  test::PipelineWire pipeline(sink, 1 << 20);
  test::Filler fill{outbox, kStart};
  const std::string value(300, 'x');
  constexpr std::string_view kTransaction =
      "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n:0\r\n$3\r\n1-0\r\n:2\r\n";
  constexpr std::string_view kEvent = "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$3\r\n1-0\r\n:0\r\n";
  constexpr std::string_view kSet = "+OK\r\n";

  const auto burst = [&](int updates) {
    for (int i = 0; i < updates; ++i) {
      ASSERT_EQ(fill.hash("robot:state:hog", value, value, value, 7), Put::accepted);
      ASSERT_EQ(fill.string("some key that is long", value, 60s, 8), Put::accepted);
      ASSERT_EQ(fill.event(value, value), Put::accepted);
      fill.now += 1ms;
      Unit unit;
      std::string_view replies[3];
      size_t units = 0;
      while (outbox.next(unit, fill.now, WallTime{})) {
        pipeline.send(unit, fill.now);
        ASSERT_LT(units, 3u);
        replies[units++] = unit.record == nullptr ? kSet
                           : unit.slot != nullptr ? kTransaction
                                                  : kEvent;
      }
      pipeline.output().clear();
      for (size_t k = 0; k < units; ++k) {
        ASSERT_FALSE(pipeline.feed(replies[k], fill.now).has_value());
      }
    }
  };
  burst(2000);
  const long before = test::allocations;
  burst(10'000);
  // What hiredis takes for its buffer is not ours and is malloc, not new.
  EXPECT_EQ(test::allocations - before, 0);
  EXPECT_EQ(sink.stored, 36'000);
  EXPECT_EQ(listener.heard, 24'000);
}

TEST(OutboxMemory, EventsThatPileUpAndLeaveKeepTheirChunksWhileTheyAreNeeded) {
  if (!test::kCountsAllocations) GTEST_SKIP() << "a sanitizer has the heap";
  Outbox outbox({"hog", "hog-1", {.owner_bytes = 1 << 20}});
  outbox.connection_opened();
  test::Filler fill{outbox, kStart};
  const std::string value(200, 'x');
  const auto round = [&] {
    for (int i = 0; i < 1000; ++i) fill.event(value, value);
    Unit unit;
    while (outbox.next(unit, fill.now, WallTime{})) outbox.stored(unit, fill.now);
    fill.now += 10ms;
  };
  for (int i = 0; i < 10; ++i) round();
  const long before = test::allocations;
  for (int i = 0; i < 300; ++i) round();
  EXPECT_EQ(test::allocations - before, 0) << "over three seconds of bursts";
  EXPECT_GT(outbox.events().allocated(), 400'000u);
  for (int i = 0; i < 3; ++i) {
    fill.now += 1s;
    fill.event("idle");
  }
  EXPECT_LT(outbox.events().allocated(), 20'000u) << "given back when they are not";
}

TEST(OutboxMemory, AValueOfANewKeyTakesTheRoomOfTheOneThatIsForgotten) {
  if (!test::kCountsAllocations) GTEST_SKIP() << "a sanitizer has the heap";
  Outbox outbox({"hog", "hog-1", {}, {100'000, 25'000}});
  outbox.connection_opened();
  test::Filler fill{outbox, kStart};
  const std::string value(500, 'x');
  std::string key = "some key of a length, by its number: 000000";
  const auto some = [&](int count) {
    for (int i = 0; i < count; ++i) {
      for (size_t at = key.size(); ++key[--at] > '9';) key[at] = '0';
      ASSERT_EQ(fill.string(key, value, {}, 0, true), Put::accepted);
      Unit unit;
      while (outbox.next(unit, kStart, WallTime{})) outbox.stored(unit, kStart);
    }
  };
  some(1000);
  const long before = test::allocations;
  some(10'000);
  EXPECT_EQ(test::allocations - before, 0);
}

TEST(OutboxMemory, NothingLargeIsTakenBeforeItIsNeeded) {
  if (!test::kCountsAllocations) GTEST_SKIP() << "a sanitizer has the heap";
  const long before = test::allocations;
  Outbox outbox({"hog", "hog-1", {}});
  EXPECT_EQ(test::allocations - before, 0);
  EXPECT_EQ(outbox.events().allocated(), 0u);
  EXPECT_LT(sizeof outbox, 2400u);
}

}  // namespace
}  // namespace nb::outbox
