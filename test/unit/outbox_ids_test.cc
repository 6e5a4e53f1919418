// Unit tests of outbox/: the ids of a stream's entries, by which an entry is stored once.
#include <gtest/gtest.h>

#include <string>

#include "outbox_fixture.h"

namespace nb::outbox {
namespace {

constexpr uint64_t kWallMs = 1'795'183'387'000;

class IdsTest : public OutboxTest {
 protected:
  IdsTest() { box().connection_opened(); }

  static std::string id_of(const Unit& unit) {
    std::string text = std::to_string(unit.id.ms) + "-" + std::to_string(unit.id.number);
    return unit.in_doubt ? text + "?" : text;
  }
  static std::string id(uint64_t after_ms, int number) {
    return std::to_string(kWallMs + after_ms) + "-" + std::to_string(number);
  }
  // What is to go next, after so long, by a wall clock that shows `wall`.
  Unit next_at(Duration after, WallTime wall = kWall) {
    Unit unit;
    EXPECT_TRUE(box().next(unit, kStart + after, wall));
    return unit;
  }
  void sample() {
    const FieldView field{"f", "v"};
    const EntryUpdate entry{.stream = "samples", .fields = {&field, 1}, .sample = true};
    EXPECT_EQ(box().put(nullptr, &entry, nullptr, kStart, kWall), Put::accepted);
  }
};

TEST_F(IdsTest, RiseAlsoWhenTheClockIsSetBack) {
  for (const char* text : {"a", "b", "c"}) fill().event(text);
  EXPECT_EQ(id_of(next_at(0s)), id(0, 1));
  EXPECT_EQ(id_of(next_at(0s, kWall - 1h)), id(0, 2));
  EXPECT_EQ(id_of(next_at(0s, kWall + 5ms)), id(5, 3));
}

TEST_F(IdsTest, AreKeptUntilTheEntryIsAnswered) {
  fill().event("a");
  EXPECT_EQ(id_of(next_at(0s)), id(0, 1));
  for (int i = 0; i < 2; ++i) {
    box().connection_lost();
    box().connection_opened();
    EXPECT_EQ(id_of(next_at(1min, kWall + 1min)), id(0, 1) + "?");
  }
}

// The owners of events take turns, so they are not sent in the order in which they came.
TEST_F(IdsTest, WhatIsInDoubtGoesAgainInTheOrderInWhichItWasSent) {
  const std::string large(1500, 'x');
  const auto event = [&](Owner owner, std::string_view text, bool urgent = false) {
    const FieldView field{"f", text};
    const EntryUpdate entry{.stream = "s", .fields = {&field, 1}};
    EXPECT_EQ(
        box().put(nullptr, &entry, nullptr, kStart, kWall, 0, {.owner = owner, .urgent = urgent}),
        Put::accepted);
  };
  for (const char* text : {"1a", "1b", "1c"}) event(1, text + large);
  event(2, "2a");
  event(1, "1d", true);
  const auto order = [&] {
    std::string all;
    Unit unit;
    while (box().next(unit, kStart, kWall)) {
      all += text_of(unit).substr(6, 2) + "=" + std::to_string(unit.id.number) + " ";
    }
    return all;
  };
  const std::string sent = order();
  EXPECT_EQ(sent, "1d=1 1a=2 1b=3 2a=4 1c=5 ");
  for (int i = 0; i < 2; ++i) {
    box().connection_lost();
    event(3, "3a");
    box().connection_opened();
    std::string again = sent + "3a=6 ";
    if (i == 1) again += "3a=7 ";
    EXPECT_EQ(order(), again);
  }
}

TEST_F(IdsTest, AnUrgentEventInDoubtDoesNotOvertakeWhatWasSentBefore) {
  const auto sent = [&](std::string_view text, bool urgent) {
    const FieldView field{"f", text};
    const EntryUpdate entry{.stream = "s", .fields = {&field, 1}};
    EXPECT_EQ(box().put(nullptr, &entry, nullptr, kStart, kWall, 0, {1, urgent}), Put::accepted);
    return next_at(0s);
  };
  const Unit usual = sent("usual", false);
  (void)sent("urgent", true);
  box().connection_lost();
  box().connection_opened();
  EXPECT_EQ(id_of(next_at(0s)), id(0, 1) + "?");
  EXPECT_EQ(id_of(next_at(0s)), id(0, 2) + "?");
  box().stored(usual, kStart);
  box().connection_lost();
  box().connection_opened();
  EXPECT_EQ(id_of(next_at(0s)), id(0, 2) + "?") << "alone";
}

TEST_F(IdsTest, OfWhatWasAbortedNothingIsInDoubt) {
  fill().event("a", "m");
  box().aborted(next_at(0s));
  EXPECT_EQ(id_of(next_at(0s)), id(0, 2));
}

TEST_F(IdsTest, WhatWasInDoubtBeforeItWasAbortedStaysSo) {
  fill().event("a", "m");
  (void)next_at(0s);
  box().connection_lost();
  box().connection_opened();
  box().aborted(next_at(0s));
  EXPECT_EQ(id_of(next_at(0s)), id(0, 1) + "?");
}

TEST_F(IdsTest, AreTheClockOfRedisOnceASampleHasToldIt) {
  sample();
  fill().event("a");
  const Unit sampled = next_at(0s);
  EXPECT_FALSE(sampled.id.is_given()) << "Redis chooses";
  box().entry_stored(sampled, kWallMs + 60'000, kStart);
  box().stored(sampled, kStart);
  EXPECT_EQ(id_of(next_at(250ms, kWall - 1h)), id(60'250, 2));
}

TEST_F(IdsTest, AreTheClockOfRedisIfItWasHeardOtherwise) {
  box().hear_clock(kWallMs + 60'000, kStart);
  fill().event("a");
  EXPECT_EQ(id_of(next_at(250ms, kWall - 1h)), id(60'250, 1));
}

TEST_F(IdsTest, AClockOfThisComputerThatIsAheadSpoilsNoLaterId) {
  fill().event("a");
  EXPECT_EQ(id_of(next_at(0s, kWall + 24h)), id(86'400'000, 1));
  sample();
  box().entry_stored(next_at(0s), kWallMs, kStart);
  fill().event("b");
  EXPECT_EQ(id_of(next_at(1s, kWall + 24h)), id(1000, 3));
}

// Else Redis would refuse the next ids, and messages would go ahead of their entries.
TEST_F(IdsTest, AClockOfThisComputerThatIsALittleAheadIsWaitedFor) {
  fill().event("a");
  EXPECT_EQ(id_of(next_at(0s, kWall + 5s)), id(5000, 1));
  sample();
  box().entry_stored(next_at(0s), kWallMs, kStart);
  fill().event("b");
  EXPECT_EQ(id_of(next_at(1s)), id(5000, 3));
  fill().event("c");
  EXPECT_EQ(id_of(next_at(6s)), id(6000, 4));
}

TEST_F(IdsTest, ASampleInDoubtIsSentOnceMoreWithoutOne) {
  sample();
  (void)next_at(0s);
  box().connection_lost();
  box().connection_opened();
  const Unit again = next_at(0s);
  EXPECT_FALSE(again.id.is_given());
  EXPECT_FALSE(again.in_doubt);
}

// A later entry of the stream went ahead of it after the connection was lost.
TEST_F(IdsTest, AnEntryThatWasOvertakenGetsANewOne) {
  fill().event("a", "m", 7);
  (void)next_at(0s);
  box().connection_lost();
  box().connection_opened();
  const Unit again = next_at(0s);
  EXPECT_EQ(text_of(again), "+xadd:a+publish:m");
  box().id_refused(again, kStart, 3, {});
  EXPECT_EQ(settled_, Heard{}) << "it is not stored yet";
  EXPECT_FALSE(box().drained());
  const Unit last = next_at(0s);
  EXPECT_EQ(id_of(last), id(0, 2));
  EXPECT_FALSE(last.publish) << "the message has gone out";
  box().stored(last, kStart);
  EXPECT_EQ(settled_, (Heard{{7, "stored:3"}}));
  EXPECT_EQ(box().counters().expired, 0u);
  EXPECT_TRUE(box().drained());
}

// As of a stream that has come to its last possible id.
TEST_F(IdsTest, AnEntryThatIsRefusedBehindItsMessageIsToldAsSuch) {
  fill().event("a", "m", 7);
  box().id_refused(next_at(0s), kStart, 3, {});
  box().settled(next_at(0s), kStart, -1, {.value = {}, .entry = "ERR exhausted", .message = {}});
  EXPECT_EQ(settled_, (Heard{{7, "stored[entry]ERR exhausted:3"}}));
}

TEST_F(IdsTest, ARefusedValueIsToldAlthoughItsEntryGoesAgain) {
  fill().hash("k", "1", "a", "", 7);
  box().id_refused(next_at(0s), kStart, -1, {.value = "WRONGTYPE", .entry = {}, .message = {}});
  EXPECT_EQ(box().counters().refused, 1u);
  EXPECT_EQ(drain(), (Sent{"+xadd:a"}));
  EXPECT_EQ(settled_, (Heard{{7, "refused:WRONGTYPE"}}));
}

TEST_F(IdsTest, WhereTheStreamHasComeFurtherRedisChoosesOnceAndTheNextGoBehind) {
  fill().event("a");
  const Unit first = next_at(0s);
  EXPECT_EQ(id_of(first), id(0, 1));
  box().id_refused(first, kStart, -1, {});
  const Unit again = next_at(0s);
  EXPECT_FALSE(again.id.is_given());
  box().entry_stored(again, kWallMs + 3'600'000, kStart);
  box().stored(again, kStart);
  for (const char* text : {"b", "c"}) fill().event(text);
  EXPECT_EQ(id_of(next_at(1s)), id(3'600'001, 3));
  EXPECT_EQ(id_of(next_at(2s)), id(3'600'001, 4));
  // Other streams keep to the clock.
  const FieldView field{"f", "v"};
  const EntryUpdate other{.stream = "other", .fields = {&field, 1}};
  EXPECT_EQ(box().put(nullptr, &other, nullptr, kStart, kWall), Put::accepted);
  EXPECT_EQ(id_of(next_at(0s)), id(0, 5));
}

TEST_F(IdsTest, TheValueOfAnEntryThatGoesAgainIsStored) {
  fill().hash("k", "1", "a", "", 7);
  const Unit unit = next_at(0s);
  EXPECT_EQ(text_of(unit), "k=1+xadd:a");
  box().id_refused(unit, kStart, -1, {});
  EXPECT_EQ(drain(), (Sent{"+xadd:a"}));
  EXPECT_EQ(settled_, (Heard{{7, "stored"}}));
}

}  // namespace
}  // namespace nb::outbox
