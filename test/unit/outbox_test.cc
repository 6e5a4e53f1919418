// Unit tests of outbox/: what is put in goes out in its order, and nothing leaves before it is
// confirmed.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "outbox_fixture.h"

namespace nb::outbox {
namespace {

TEST_F(OutboxTest, ANewerValueReplacesOneThatWaits) {
  box().connection_opened();
  fill().hash("a", "1");
  fill().hash("b", "1");
  fill().hash("a", "2");
  EXPECT_EQ(box().slots().dirty_count(), 2u);
  EXPECT_EQ(box().slots().coalesced(), 1u);
  EXPECT_EQ(drain(), (Sent{"a=2", "b=1"}));
  EXPECT_TRUE(box().drained());
}

TEST_F(OutboxTest, AValuePutWhileTheOldIsInFlightIsSentToo) {
  box().connection_opened();
  fill().hash("a", "1");
  const Unit unit = next();
  fill().hash("a", "2");
  box().stored(unit, kStart);
  EXPECT_FALSE(box().drained());
  EXPECT_EQ(drain(), (Sent{"a=2"}));
}

TEST_F(OutboxTest, TheSameKeyInAnotherDatabaseIsAnotherSlot) {
  const FieldView field{"health", "2"};
  const SlotUpdate other{.db = 3, .key = "a", .fields = {&field, 1}};
  fill().hash("a", "1");
  fill().put(&other, {}, {}, 0);
  EXPECT_EQ(box().slots().size(), 2u);
  EXPECT_EQ(box().find(3, "a")->fields[0].value, "2");
  EXPECT_FALSE(box().find(1, "a").has_value());
}

TEST_F(OutboxTest, AnUpdateIsOneUnitInSteadyState) {
  box().connection_opened();
  EXPECT_EQ(drain(), Sent{});
  fill().hash("a", "1", "h1", "m1");
  EXPECT_EQ(drain(), (Sent{"a=1+xadd:h1+publish:m1"}));
  // Two updates before the flush: both entries, the value once, with the first.
  fill().hash("a", "2", "h2");
  fill().hash("a", "3", "h3");
  EXPECT_EQ(drain(), (Sent{"a=3+xadd:h2", "+xadd:h3"}));
}

TEST_F(OutboxTest, CatchesUpHoweverMuchComesMeanwhile) {
  for (const char* text : {"1", "2", "3"}) fill().event(text);
  box().connection_opened();
  Unit unit;
  for (int settled = 0; settled < 3; ++settled) {
    EXPECT_FALSE(box().caught_up());
    ASSERT_TRUE(box().next(unit, kStart, kWall));
    fill().event("one more");
    box().stored(unit, kStart);
  }
  EXPECT_TRUE(box().caught_up());
  EXPECT_FALSE(box().drained());
}

TEST_F(OutboxTest, AfterAnOutageSlotsGoBeforeEvents) {
  fill().hash("a", "1", "h1");
  fill().hash("a", "2", "h2");
  fill().hash("b", "1");
  box().connection_opened();
  EXPECT_EQ(drain(), (Sent{"a=2", "b=1", "+xadd:h1", "+xadd:h2"}));
  box().connection_lost();
  box().connection_opened();
  EXPECT_EQ(drain(), (Sent{"a=2", "b=1"})) << "every slot again, no event twice";
  EXPECT_EQ(box().counters().replayed, 2u);
}

TEST_F(OutboxTest, WhatComesDuringTheReplayGoesWithIt) {
  fill().hash("a", "1");
  fill().hash("b", "1", "h1");
  box().connection_opened();
  const Unit unit = next();
  fill().hash("b", "2", "h2");
  fill().hash("c", "1", "h3");
  box().stored(unit, kStart);
  EXPECT_EQ(drain(), (Sent{"b=2", "c=1", "+xadd:h1", "+xadd:h2", "+xadd:h3"}));
}

TEST_F(OutboxTest, WhatWasInFlightWhenTheConnectionDiedIsSentAgain) {
  box().connection_opened();
  fill().hash("a", "1", "h1", "", 1);
  fill().event("h2", "", 2);
  fill().string("k", "v", {}, 3);
  const Unit first = next();
  const Unit second = next();
  const Unit third = next();
  EXPECT_EQ(text_of(second), "+xadd:h2");
  EXPECT_EQ(text_of(third), "k=v");
  EXPECT_EQ(box().in_flight(), 3u);
  box().stored(first, kStart);
  box().connection_lost();
  EXPECT_EQ(settled_, (Heard{{1, "stored"}}));
  EXPECT_FALSE(box().drained());
  box().connection_opened();
  EXPECT_EQ(drain(), (Sent{"k=v", "a=1", "+xadd:h2"}));
  EXPECT_EQ(settled_, (Heard{{1, "stored"}, {2, "stored"}, {3, "stored"}}));
  EXPECT_TRUE(box().drained());
}

TEST_F(OutboxTest, EverythingIsWrittenAgainWhenRedisWasEmptied) {
  box().connection_opened();
  fill().hash("a", "1");
  fill().hash("b", "1");
  (void)drain();
  box().rewrite_all();
  EXPECT_EQ(drain(), (Sent{"a=1", "b=1"}));
}

TEST_F(OutboxTest, ManySlotsAreFoundForgottenAndReplayedInTheOrderOfTheirKeys) {
  box().connection_opened();
  Sent kept;
  for (int i = 0; i < 3000; ++i) {
    const std::string key = "a/key/of/some/length/" + std::to_string(i);
    fill().string(key, "1");
    fill().string(key, "2");
    if (i % 3 != 0) kept.push_back(key + "=2");
  }
  EXPECT_EQ(box().slots().size(), 3000u);
  EXPECT_EQ(drain().size(), 3000u);
  for (int i = 0; i < 3000; i += 3) {
    fill().remove("a/key/of/some/length/" + std::to_string(i));
  }
  EXPECT_EQ(drain().size(), 1000u);
  EXPECT_EQ(box().slots().size(), 2000u) << "what is deleted and stored is forgotten";
  for (int i = 0; i < 3000; ++i) {
    const std::string key = "a/key/of/some/length/" + std::to_string(i);
    EXPECT_EQ(box().find(0, key, kStart).has_value(), i % 3 != 0) << key;
    EXPECT_FALSE(box().find(1, key, kStart)) << "another database";
  }
  box().rewrite_all();
  EXPECT_EQ(drain(), kept);
}

TEST_F(OutboxTest, ARefusedUnitDoesNotBlockTheOthers) {
  box().connection_opened();
  fill().hash("a", "1", "h1", "", 1);
  fill().hash("a", "2", "h2", "", 2);
  fill().hash("b", "1");
  const Unit unit = next();
  EXPECT_EQ(text_of(unit), "a=2+xadd:h1");
  box().refused(unit, "WRONGTYPE no");
  EXPECT_EQ(drain(), (Sent{"+xadd:h2", "b=1"}));
  EXPECT_EQ(box().counters().refused, 1u);
  EXPECT_EQ(settled_, (Heard{{1, "refused:WRONGTYPE no"}, {2, "refused:WRONGTYPE no"}}))
      << "the second one's value went with the first";
  fill().hash("a", "3");
  EXPECT_EQ(drain(), (Sent{"a=3"}));
}

TEST_F(OutboxTest, EachPartHasItsOwnAnswer) {
  box().connection_opened();
  fill().hash("a", "1", "h", "m", 1);  // the entry is refused
  fill().event("h", "m", 2);           // the message is
  fill().event("h", "m", 3);           // both are
  fill().event("h", "", 4);            // all there is
  fill().hash("b", "1", "h", "m", 5);  // the value is
  fill().event("h", "m", 6);           // the entry of a published message
  fill().hash("c", "1", "h", "m", 7);  // the message of a value
  const auto settle = [&](const Refusals& refusals) {
    const Unit unit = next();
    box().settled(unit, kStart, refusals.message.empty() ? 2 : -1, refusals);
  };
  settle({"", "E", ""});
  settle({"", "", "M"});
  settle({"", "E", "M"});
  settle({"", "E", ""});
  settle({"V", "", ""});
  settle({"", "E", ""});
  settle({"", "", "M"});
  EXPECT_EQ(settled_, (Heard{{1, "stored[entry]E:2"},
                             {2, "refused:M"},
                             {3, "refused:E"},  // the words of the first
                             {4, "refused:E"},
                             {5, "refused:V:2"},
                             {6, "stored[entry]E:2"},
                             {7, "stored[message]M"}}));
  EXPECT_EQ(box().counters().refused, 7u);
  EXPECT_EQ(box().counters().stored, 5u);
  EXPECT_TRUE(box().drained());
}

TEST_F(OutboxTest, AnAbortedUnitGoesAgainApartBehindTheOthers) {
  box().connection_opened();
  fill().hash("a", "1", "h1", "m1", 1);
  fill().event("h2", "", 2);
  fill().event("h3", "", 3);
  const Unit first = next();
  const Unit second = next();
  EXPECT_FALSE(first.apart);
  fill().hash("a", "2");  // a newer value meanwhile goes in its place
  box().aborted(first);
  EXPECT_EQ(box().in_flight(), 1u);
  EXPECT_EQ(settled_, (Heard{}));
  box().stored(second, kStart);
  EXPECT_EQ(text_of(next()), "+xadd:h3");
  const Unit again = next();
  EXPECT_EQ(text_of(again), "a=2+xadd:h1+publish:m1");
  EXPECT_TRUE(again.apart);
}

// Both values leave in the unit of the first event. That unit is aborted, the second event's is
// not.
TEST_F(OutboxTest, AnEventWhoseValueWasAbortedIsAnsweredWithTheValue) {
  for (const bool is_refused : {false, true}) {
    make(1 << 20);
    settled_.clear();
    box().connection_opened();
    fill().hash("a", "1", "h1", "m1", 1);
    fill().hash("a", "2", "h2", "m2", 2);
    fill().hash("a", "3", "h3", "m3", 3);
    const Unit first = next();
    EXPECT_EQ(text_of(first), "a=3+xadd:h1+publish:m1");
    const Unit second = next();
    const Unit third = next();
    EXPECT_EQ(text_of(third), "+xadd:h3+publish:m3");
    box().aborted(first);
    box().settled(second, kStart, 2, {{}, "NOPERM no", {}});
    box().settled(third, kStart, 2, {{}, {}, {}});
    EXPECT_EQ(settled_, (Heard{})) << "the value is not stored yet";
    const Unit again = next();
    EXPECT_EQ(text_of(again), "a=3+xadd:h1+publish:m1");
    if (is_refused) {
      box().refused(again, "WRONGTYPE no");
      EXPECT_EQ(settled_, (Heard{{1, "refused:WRONGTYPE no"},
                                 {2, "refused:WRONGTYPE no"},
                                 {3, "refused:WRONGTYPE no"}}));
    } else {
      box().stored(again, kStart, 2);
      EXPECT_EQ(settled_, (Heard{{1, "stored:2"}, {2, "stored[entry]NOPERM no"}, {3, "stored"}}));
    }
    EXPECT_TRUE(box().drained());
  }
}

TEST_F(OutboxTest, WhatWasAbortedSurvivesALostConnection) {
  for (const int others : {0, 1, 3}) {
    make(1 << 20);
    box().connection_opened();
    fill().event("h", "m", 1);
    for (int i = 0; i < others; ++i) fill().event("o" + std::to_string(i));
    const Unit unit = next();
    box().aborted(unit);
    box().connection_lost();
    box().connection_opened();
    Sent sent = drain();
    std::ranges::sort(sent);
    EXPECT_EQ(sent.size(), static_cast<size_t>(others) + 1);
    EXPECT_EQ(sent[0], "+xadd:h+publish:m");
    EXPECT_EQ(settled_, (Heard{{1, "stored:2"}}));
    EXPECT_TRUE(box().drained());
    settled_.clear();
  }
}

// --- waiters ---

TEST_F(OutboxTest, EachWaiterHearsOnceWithTheAnswerOfPublish) {
  box().connection_opened();
  fill().hash("a", "1", "", "", 1);
  fill().hash("a", "2", "", "", 2);
  fill().event("h", "m", 3);
  fill().event("h", "", 4);
  fill().hash("a", "3", "h", "m", 5);
  EXPECT_EQ(settled_, Heard{});
  (void)drain();
  EXPECT_EQ(settled_,
            (Heard{{1, "stored"}, {2, "stored"}, {3, "stored:2"}, {4, "stored"}, {5, "stored:2"}}));
}

TEST_F(OutboxTest, AWaiterOfANewerVersionWaitsForThat) {
  box().connection_opened();
  fill().hash("a", "1", "", "", 1);
  const Unit unit = next();
  fill().hash("a", "2", "", "", 2);
  box().stored(unit, kStart);
  EXPECT_EQ(settled_, (Heard{{1, "stored"}}));
  (void)drain();
  EXPECT_EQ(settled_, (Heard{{1, "stored"}, {2, "stored"}}));
}

TEST_F(OutboxTest, AWaiterThatIsToldMayPutSomethingIn) {
  box().connection_opened();
  fill().event("h1", "", 1);
  fill().event("h2", "", 2);
  again_ = true;
  EXPECT_EQ(drain(), (Sent{"+xadd:h1", "+xadd:h2", "again=1+xadd:again"}));
  make(700);
  again_ = true;
  for (Waiter i = 10; i < 20; ++i) fill().event("h", "", i);
  EXPECT_EQ(settled_[10], "dropped") << "from inside put()";
  box().connection_opened();
  (void)drain();
  EXPECT_EQ(settled_.size(), 14u);
}

TEST_F(OutboxTest, AWaiterThatHasGivenUpIsForgotten) {
  for (Waiter i = 1; i <= 5000; ++i) fill().hash(i % 2 == 0 ? "a" : "b", "1", "", "", i);
  box().keep_waiters([](void*, Waiter waiter) { return waiter == 5000; }, nullptr);
  box().connection_opened();
  const Unit unit = next();
  EXPECT_LE(unit.slot->waits.capacity(), 1u);
  box().stored(unit, kStart);
  EXPECT_EQ(drain(), (Sent{"a=1"}));
  EXPECT_EQ(settled_, (Heard{{5000, "stored"}}));
}

TEST_F(OutboxTest, AFloodOfEventsDoesNotStarveAValue) {
  box().connection_opened();
  for (int i = 0; i < 1000; ++i) fill().event("e");
  // Of clients' own choice: the agent's keys go at once.
  for (const char* key : {"a", "b", "c"}) fill().hash(key, "1");
  const Sent sent = drain();
  EXPECT_EQ(sent.size(), 1003u);
  std::vector<size_t> places;
  for (size_t i = 0; i < sent.size(); ++i) {
    if (sent[i].ends_with("=1")) places.push_back(i);
  }
  EXPECT_EQ(places, (std::vector<size_t>{16, 33, 50})) << "after sixteen events each";
}

TEST_F(OutboxTest, AValueWhoseEventHasNoRoomGoesAlone) {
  make(700);
  box().connection_opened();
  for (int i = 0; i < 3; ++i) fill().event("e");
  std::vector<Unit> flying;
  for (int i = 0; i < 2; ++i) flying.push_back(next());
  fill().hash("a", "1", std::string(400, 'x'), "", 1);
  EXPECT_EQ(settled_, (Heard{{1, "dropped"}}));
  EXPECT_EQ(box().slots().front(Lane::paired), nullptr);
  ASSERT_NE(box().slots().front(Lane::alone), nullptr);
  EXPECT_EQ(box().slots().front(Lane::alone)->key, "a");
}

TEST_F(OutboxTest, AValueWhoseLastEventWasDroppedGoesAlone) {
  make(800);
  box().connection_opened();
  fill().hash("a", "1", "e", "", 1);
  fill().hash("a", "2", "e", "", 2);
  ASSERT_NE(box().slots().front(Lane::paired), nullptr);
  fill().event(std::string(300, 'x'));
  ASSERT_EQ(settled_, (Heard{{1, "dropped"}}));
  EXPECT_NE(box().slots().front(Lane::paired), nullptr) << "its second event is still there";
  fill().event(std::string(300, 'x'));
  ASSERT_EQ(settled_.count(2), 1u);
  EXPECT_EQ(box().slots().front(Lane::paired), nullptr);
  ASSERT_NE(box().slots().front(Lane::alone), nullptr);
  EXPECT_EQ(box().slots().front(Lane::alone)->key, "a");
}

TEST_F(OutboxTest, WhereNobodyCountsSubscribersNobodyIsTold) {
  box().connection_opened();
  fill().event("h", "m", 1);
  box().stored(next(), kStart);
  EXPECT_EQ(settled_, (Heard{{1, "stored"}}));
}

TEST_F(OutboxTest, TenThousandValuesAreTakenFromTheMiddleToo) {
  make(4 << 20);
  box().connection_opened();
  for (int i = 0; i < 10'000; ++i) fill().hash("k" + std::to_string(i), "1");
  // The last ones leave first, with their events: by walking a queue this took seconds.
  for (int i = 10'000; i-- > 0;) fill().hash("k" + std::to_string(i), "2", "h");
  const Sent sent = drain();
  ASSERT_EQ(sent.size(), 10'000u);
  EXPECT_EQ(sent[0], "k9999=2+xadd:h");
  EXPECT_EQ(sent[9999], "k0=2+xadd:h");
  EXPECT_TRUE(box().drained());
}

TEST_F(OutboxTest, StoringIsTimedFromPutToConfirmation) {
  box().connection_opened();
  fill().hash("a", "1", "h");
  Unit unit = next();
  box().stored(unit, kStart + 3ms);
  EXPECT_EQ(box().store_latency().count(), 1u);
  EXPECT_EQ(box().store_latency().max(), 3ms);
  box().connection_opened();
  (void)drain(kStart + 1h);
  EXPECT_EQ(box().store_latency().max(), 3ms) << "writing it once more is no news";
}

TEST_F(OutboxTest, TheNoticeOfALossIsNotTimed) {
  make(700);  // three records
  for (const char* text : {"1", "2", "3", "4"}) fill().event(text);
  box().connection_opened();
  const Sent sent = drain(kStart + 3ms);
  ASSERT_EQ(sent.size(), 4u);
  EXPECT_NE(sent[0].find("events_lost"), std::string::npos);
  EXPECT_EQ(box().store_latency().count(), 3u);
  EXPECT_EQ(box().store_latency().max(), 3ms);
}

}  // namespace
}  // namespace nb::outbox
