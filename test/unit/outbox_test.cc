// Unit tests of outbox/: two lanes, their bounds, and that nothing leaves before it is confirmed.
#include "outbox/outbox.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "support/json_document.h"
#include "support/updates.h"

namespace nb::outbox {
namespace {

using namespace std::chrono_literals;

const MonoTime kStart{1000s};
const WallTime kWall{1'795'183'387s};

using Sent = std::vector<std::string>;

std::string text_of(const Unit& unit) {
  std::string text;
  if (unit.slot != nullptr) {
    text += unit.slot->kind == SlotKind::remove ? "-" : "";
    text += unit.slot->key;
    if (!unit.slot->fields.empty()) text += "=" + std::string(unit.slot->fields[0].value);
  }
  if (unit.record != nullptr) {
    if (unit.record->has_entry) {
      EntryView entry = unit.record->entry();
      EXPECT_EQ(entry.stream, "s");
      EXPECT_EQ(entry.texts.next(), "f");
      text += "+xadd:" + std::string(entry.texts.next());
    }
    if (unit.record->has_message) {
      text += unit.publish ? "+publish:" : "+late:";
      text += unit.record->message().payload;
    }
  }
  if (unit.notice != nullptr) text += "+publish:" + unit.notice->payload;
  return text;
}

class OutboxTest : public testing::Test {
 protected:
  OutboxTest() { make(1 << 20); }

  void make(size_t event_bytes, Duration age = 10min, size_t slot_bytes = 4 << 20) {
    make_lanes({event_bytes, age, event_bytes, event_bytes}, {slot_bytes, slot_bytes});
  }
  void make_lanes(EventLogLimits limits, SlotLimits slot_limits = {}) {
    outbox_.emplace(OutboxOptions{"hog", "hog-1", limits, slot_limits});
    outbox_->set_on_settled(Delegate<void(const Settled&)>::to<&OutboxTest::on_settled>(this));
    fill_.emplace(test::Filler{*outbox_, kStart, kWall});
  }
  Outbox& box() { return *outbox_; }
  test::Filler& fill() { return *fill_; }

  // All that would go out now, as text; Redis confirms it.
  Sent drain(MonoTime now = kStart) {
    Sent sent;
    Unit unit;
    while (box().next(unit, now, kWall)) {
      sent.push_back(text_of(unit));
      box().stored(unit, now, 2);
    }
    return sent;
  }
  Unit next(MonoTime now = kStart) {
    Unit unit;
    EXPECT_TRUE(box().next(unit, now, kWall));
    return unit;
  }
  void on_settled(const Settled& settled) {
    std::string text = settled.outcome == Outcome::stored    ? "stored"
                       : settled.outcome == Outcome::refused ? "refused:"
                                                             : "dropped";
    if (settled.outcome == Outcome::stored) {
      text += settled.entry_refused ? "[entry]" : "";
      text += settled.message_refused ? "[message]" : "";
    }
    text += settled.words;
    if (settled.subscribers >= 0) text += ":" + std::to_string(settled.subscribers);
    EXPECT_TRUE(settled_.emplace(settled.waiter, text).second) << "heard twice";
    if (again_) {
      again_ = false;
      EXPECT_EQ(fill().hash("again", "1", "again", "", again_as_++), Put::accepted);
    }
  }
  using Heard = std::map<Waiter, std::string>;

  std::optional<Outbox> outbox_;
  std::optional<test::Filler> fill_;
  Heard settled_;
  bool again_ = false;
  Waiter again_as_ = 98;
};

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

// --- strings, deletions, what is forgotten ---

TEST_F(OutboxTest, SetAndDeleteOfAKeyReplaceEachOther) {
  fill().string("k", "1", {}, 1);
  fill().remove("k", 2);
  ASSERT_TRUE(box().find(0, "k").has_value());
  EXPECT_EQ(box().find(0, "k")->kind, SlotKind::remove);
  fill().string("k", "2", {}, 3);
  EXPECT_EQ(box().find(0, "k")->fields[0].value, "2");
  EXPECT_FALSE(box().find(0, "k")->stored);
  box().connection_opened();
  EXPECT_EQ(drain(), (Sent{"k=2"}));
  EXPECT_EQ(settled_, (Heard{{1, "stored"}, {2, "stored"}, {3, "stored"}}));
  EXPECT_TRUE(box().find(0, "k")->stored);
}

TEST_F(OutboxTest, ADeletionIsForgottenOnceStored) {
  box().connection_opened();
  fill().string("k", "1");
  EXPECT_EQ(drain(), (Sent{"k=1"}));
  fill().remove("k");
  const Unit unit = next();
  EXPECT_EQ(text_of(unit), "-k");
  EXPECT_EQ(box().slots().size(), 1u) << "not before it is confirmed";
  box().connection_lost();
  box().connection_opened();
  EXPECT_EQ(drain(), (Sent{"-k"}));
  EXPECT_EQ(box().slots().size(), 0u);
}

TEST_F(OutboxTest, ADeletionThatWasSentTwiceIsForgottenWhenTheConnectionDiesInBetween) {
  box().connection_opened();
  fill().remove("k");
  const Unit first = next();
  box().rewrite_all();
  EXPECT_EQ(text_of(next()), "-k");
  box().stored(first, kStart);
  EXPECT_EQ(box().slots().size(), 1u) << "it is still on its way";
  box().connection_lost();
  EXPECT_EQ(box().slots().size(), 0u);
  box().connection_opened();
  EXPECT_EQ(drain(), Sent{});
}

TEST_F(OutboxTest, AnEndedSessionIsNotWrittenAgain) {
  box().connection_opened();
  const FieldView field{"progress", "end"};
  const SlotUpdate end{.key = "session", .fields = {&field, 1}, .ttl = 24h, .forget = true};
  fill().hash("session", "1");
  fill().put(&end, "h", "over", 7);
  EXPECT_EQ(drain(), (Sent{"session=end+xadd:h+publish:over"}));
  EXPECT_EQ(settled_, (Heard{{7, "stored:2"}}));
  EXPECT_EQ(box().slots().size(), 0u);
  box().connection_opened();
  EXPECT_EQ(drain(), Sent{});
}

TEST_F(OutboxTest, AForgottenSlotThatIsPutAgainMeanwhileStays) {
  box().connection_opened();
  fill().remove("k");
  const Unit unit = next();
  fill().string("k", "2");
  box().stored(unit, kStart);
  EXPECT_EQ(drain(), (Sent{"k=2"}));
  EXPECT_EQ(box().slots().size(), 1u);
}

TEST_F(OutboxTest, AStringKeepsItsExpiryOverAnOutage) {
  box().connection_opened();
  fill().string("k", "1", 60s);
  EXPECT_EQ(next().slot->ttl_left(kStart), 60s);
  box().connection_lost();
  box().connection_opened();
  EXPECT_EQ(next(kStart + 20s).slot->ttl_left(kStart + 20s), 40s);
}

TEST_F(OutboxTest, AStoredStringThatHasExpiredIsForgotten) {
  box().connection_opened();
  fill().string("k", "1", 60s);
  (void)drain();
  EXPECT_TRUE(box().find(0, "k", kStart + 59s).has_value());
  EXPECT_FALSE(box().find(0, "k", kStart + 60s).has_value());
  box().connection_lost();
  box().connection_opened();
  EXPECT_EQ(drain(kStart + 60s), Sent{});
  EXPECT_EQ(box().slots().size(), 0u);
}

TEST_F(OutboxTest, AnotherPutForgetsWhatHasExpired) {
  box().connection_opened();
  for (int i = 0; i < 100; ++i) fill().string("k" + std::to_string(i), "1", 60s);
  (void)drain();
  EXPECT_EQ(box().slots().size(), 100u);
  fill().now = kStart + 61s;
  fill().string("other", "1");
  EXPECT_EQ(box().slots().size(), 1u);
}

TEST_F(OutboxTest, AStringThatExpiresUnstoredIsDeleted) {
  box().connection_opened();
  fill().string("k", "old");
  (void)drain();
  box().connection_lost();
  fill().string("k", "new", 1s, 5);
  EXPECT_EQ(box().find(0, "k", kStart + 2s)->kind, SlotKind::remove);
  box().connection_opened();
  EXPECT_EQ(drain(kStart + 2s), (Sent{"-k"})) << "the old value stood there still";
  EXPECT_EQ(settled_, (Heard{{5, "dropped"}}));
  EXPECT_EQ(box().slots().size(), 0u);
}

TEST_F(OutboxTest, LimitedSlotsHaveTheirLimit) {
  make(1 << 20, 10min, 8000);
  const std::string value(1000, 'x');
  int taken = 0;
  while (fill().string("k" + std::to_string(taken), value, {}, 0, true) == Put::accepted) ++taken;
  EXPECT_GE(taken, 3);
  EXPECT_LE(taken, 7);
  EXPECT_EQ(fill().string("more", value, {}, 1, true), Put::full);
  EXPECT_EQ(fill().string("k0", value, {}, 0, true), Put::accepted) << "in place of the old one";
  EXPECT_EQ(fill().string("k0", std::string(9000, 'x'), {}, 0, true), Put::too_large);
  EXPECT_EQ(fill().hash("health", value), Put::accepted) << "ours are not limited";
  EXPECT_LE(box().slots().shares().bytes(), 8000u);
  EXPECT_FALSE(box().find(0, "more").has_value());
  box().connection_opened();
  (void)drain();
  for (int i = 0; i < taken; ++i) fill().remove("k" + std::to_string(i));
  (void)drain();
  EXPECT_EQ(box().slots().shares().bytes(), 0u);
  EXPECT_EQ(settled_, Heard{});
}

TEST_F(OutboxTest, WhatTakesNoMoreRoomThanBeforeIsTakenThoughTheLimitWasLowered) {
  const std::string value(1000, 'x');
  for (const char* key : {"a", "b", "c"}) fill().string(key, value, {}, 0, true);
  box().set_slot_limits({2000, 2000});
  const SlotUpdate deletion{.key = "a", .kind = SlotKind::remove, .forget = true, .limited = true};
  EXPECT_EQ(fill().put(&deletion, {}, {}, 0), Put::accepted);
  EXPECT_EQ(fill().string("b", value, {}, 0, true), Put::accepted);
  EXPECT_EQ(fill().string("b", value + "x", {}, 0, true), Put::share_full);
  EXPECT_EQ(fill().string("d", "", {}, 0, true), Put::share_full);
}

TEST_F(OutboxTest, AValueThatWasLargerKeepsNoRoomThatIsNotCounted) {
  const auto room = [&] {
    size_t bytes = 0;
    Unit unit;
    box().connection_opened();
    while (box().next(unit, fill().now, kWall)) bytes += unit.slot->texts.capacity();
    return bytes;
  };
  for (int i = 0; i < 100; ++i) {
    fill().string("k" + std::to_string(i), std::string(4000, 'x'), {}, 0, true);
    fill().string("k" + std::to_string(i), "1", {}, 0, true);
  }
  EXPECT_LT(room(), box().slots().shares().bytes());
  for (int i = 0; i < 100; ++i) {
    fill().string("k" + std::to_string(i), std::string(4000, 'x'), 1s, 0, true);
  }
  fill().now += 2s;
  EXPECT_LT(room(), box().slots().shares().bytes()) << "nor one whose time is over";
}

// --- who waits ---

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

TEST_F(OutboxTest, WhoHearsMayPutSomethingIn) {
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

TEST_F(OutboxTest, WhoHasGivenUpIsForgotten) {
  for (Waiter i = 1; i <= 5000; ++i) fill().hash(i % 2 == 0 ? "a" : "b", "1", "", "", i);
  box().keep_waiters([](void*, Waiter waiter) { return waiter == 5000; }, nullptr);
  box().connection_opened();
  const Unit unit = next();
  EXPECT_LE(unit.slot->waits.capacity(), 1u);
  box().stored(unit, kStart);
  EXPECT_EQ(drain(), (Sent{"a=1"}));
  EXPECT_EQ(settled_, (Heard{{5000, "stored"}}));
}

// --- what others write too, and what the server has lost ---

class SharedTest : public OutboxTest {
 protected:
  SharedTest() {
    box().set_on_lost(Delegate<void()>::to<&SharedTest::on_lost>(this));
    box().connection_opened();
  }
  void on_lost() { ++losses_; }
  void shared(std::string_view key, std::string_view value, Duration ttl = {}) {
    const FieldView field{"", value};
    const SlotUpdate slot{
        .key = key, .kind = SlotKind::string, .fields = {&field, 1}, .ttl = ttl, .shared = true};
    EXPECT_EQ(fill().put(&slot, {}, {}, 0), Put::accepted);
  }
  void own(std::string_view key, Duration ttl = {}) {
    const FieldView field{"f", "v"};
    const SlotUpdate slot{.key = key, .fields = {&field, 1}, .ttl = ttl};
    EXPECT_EQ(fill().put(&slot, {}, {}, 0), Put::accepted);
  }
  // Stores all; of HASHes, whether the key was there.
  Sent store(bool existed, MonoTime now = kStart) {
    Sent sent;
    Unit unit;
    while (box().next(unit, now, kWall)) {
      const bool nx = unit.slot != nullptr && unit.slot->if_missing;
      sent.push_back(text_of(unit) + (nx ? " NX" : ""));
      box().settled(unit, now, -1, {}, existed);
    }
    return sent;
  }

  int losses_ = 0;
};

TEST_F(SharedTest, AConfirmedValueOfASharedKeyIsNotWrittenAgainAfterAReconnect) {
  own("health", 15s);
  shared("mode", "1");
  EXPECT_EQ(store(false), (Sent{"health=v", "mode=1"}));
  box().connection_lost();
  shared("other", "2");
  box().connection_opened();
  EXPECT_EQ(store(true), (Sent{"other=2", "health=v"})) << "its own, and what is not confirmed";
  shared("mode", "3");
  (void)next();
  box().connection_lost();
  box().connection_opened();
  EXPECT_EQ(store(true), (Sent{"mode=3", "health=v"})) << "what was on its way";
  EXPECT_EQ(losses_, 0);
}

TEST_F(SharedTest, WhatTheServerHasLostIsWrittenWhereItIsMissing) {
  own("health", 15s);
  shared("mode", "1");
  (void)store(false);
  box().rewrite_all();
  EXPECT_EQ(store(true), (Sent{"health=v", "mode=1 NX"}));
  box().rewrite_all();
  shared("mode", "2");
  EXPECT_EQ(store(true), (Sent{"health=v", "mode=2"})) << "a new value is no old one";
}

TEST_F(SharedTest, AValueOnItsWayToWhereItIsMissingGoesOnceMoreAfterALostConnection) {
  shared("mode", "1");
  (void)store(false);
  box().rewrite_all();
  EXPECT_TRUE(next().slot->if_missing);
  box().connection_lost();
  box().connection_opened();
  EXPECT_EQ(store(true), Sent{"mode=1 NX"});
  box().connection_lost();
  box().connection_opened();
  EXPECT_EQ(store(true), Sent{}) << "it is confirmed now";
}

TEST_F(SharedTest, AnOwnKeyThatIsGoneBeforeItsTimeShowsThatTheServerHasLostData) {
  own("health", 15s);
  own("state");
  shared("mode", "1");
  (void)store(false);
  EXPECT_EQ(losses_, 0) << "nothing had been stored before";
  own("health", 15s);
  EXPECT_EQ(store(false, kStart + 15s), Sent{"health=v"}) << "its time was over";
  own("health", 15s);
  EXPECT_EQ(store(false, kStart + 16s), (Sent{"health=v", "state=v", "mode=1 NX"}));
  EXPECT_EQ(losses_, 1);
}

TEST_F(SharedTest, AServerThatEvictsAllTheTimeCausesOneRewriteABeat) {
  own("health", 15s);
  own("state");
  (void)store(false);
  for (int beat = 0; beat < 5; ++beat) {
    box().allow_rewrite();
    own("health", 15s);
    EXPECT_EQ(store(false), (Sent{"health=v", "state=v"}));
    for (int i = 0; i < 10; ++i) {
      own("state");
      EXPECT_EQ(store(false), Sent{"state=v"});
    }
  }
  EXPECT_EQ(losses_, 5);
}

TEST_F(SharedTest, ATtlThatIsRenewedGoesOutNowAndThen) {
  const FieldView field{"progress", "1"};
  const SlotUpdate slot{.key = "session", .fields = {&field, 1}, .ttl = 80s, .renew = 10s};
  const auto expires = [&](MonoTime now) {
    EXPECT_EQ(fill().put(&slot, {}, {}, 0), Put::accepted);
    Unit unit;
    EXPECT_TRUE(box().next(unit, now, kWall));
    const bool expire = unit.expire;
    box().settled(unit, now, -1, {});
    return expire;
  };
  EXPECT_TRUE(expires(kStart));
  EXPECT_FALSE(expires(kStart + 9s));
  EXPECT_TRUE(expires(kStart + 10s));
  box().rewrite_all();
  EXPECT_TRUE(expires(kStart + 11s)) << "the server may have lost it";
}

TEST_F(OutboxTest, AnEntryCountsTheSameInItsStreamWithAMessageAndWithout) {
  const std::string text(90, 'x');  // with the lengths before each text, a multiple of 8
  const FieldView field{"f", text};
  const MessageUpdate message{"c", "m"};
  box().connection_opened();
  for (const MessageUpdate* with : {static_cast<const MessageUpdate*>(nullptr), &message}) {
    const EntryUpdate entry{
        .stream = "s", .max_length = 1'000'000, .fields = {&field, 1}, .max_bytes = 100'000};
    EXPECT_EQ(box().put(nullptr, &entry, with, kStart, kWall), Put::accepted);
    const Unit unit = next();
    EXPECT_EQ(unit.stream.max_length, 100'000u / (104 + 32));
    box().stored(unit, kStart);
  }
}

TEST(Streams, AreBoundedInBytesAndGetTheirTtlAgain) {
  Streams streams;
  const auto next = [&](std::string_view name, uint64_t bytes, MonoTime now = kStart) {
    return streams.next(0, name, bytes, 1000, 100'000, 80s, now);
  };
  EXPECT_EQ(next("small", 18).max_length, 1000u);
  EXPECT_EQ(next("medium", 968).max_length, 100u);
  EXPECT_EQ(next("huge", 1'000'000).max_length, 16u) << "some are kept however large";
  // One large entry among small ones does not push them all out; many do.
  const uint64_t after_one = next("small", 60'000).max_length;
  EXPECT_GT(after_one, 50u);
  EXPECT_LT(after_one, 1000u);
  for (int i = 0; i < 1000; ++i) (void)next("small", 60'000);
  EXPECT_LT(next("small", 60'000).max_length, 20u);
  EXPECT_TRUE(next("ttl", 10).expire);
  EXPECT_FALSE(next("ttl", 10, kStart + 9s).expire);
  EXPECT_TRUE(next("ttl", 10, kStart + 10s).expire);
  streams.forget_all();
  EXPECT_TRUE(next("ttl", 10, kStart + 10s).expire);
  for (int i = 0; i < 10'000; ++i) EXPECT_TRUE(next(std::to_string(i), 10).expire);
}

// --- each owner's share ---

// What is left of each owner's events, as "owner:count".
class OwnersTest : public OutboxTest {
 protected:
  OwnersTest() { make_shares(40'000, 20'000, 20'000); }
  void make_shares(size_t bytes, size_t owner_bytes, size_t urgent_bytes) {
    make_lanes({bytes, 10min, owner_bytes, urgent_bytes});
    outbox_->set_on_room(Delegate<void()>::to<&OwnersTest::on_room>(this));
    outbox_->set_on_losses(Delegate<void()>::to<&OwnersTest::on_losses>(this));
  }
  Put event(Owner owner, std::string_view text, Waiter waiter = 0, bool urgent = false) {
    return put(nullptr, owner, text, waiter, urgent);
  }
  Put progress(Owner owner, std::string_view value, std::string_view text, bool urgent) {
    const FieldView field{"progress", value};
    const SlotUpdate slot{.key = "session", .fields = {&field, 1}};
    return put(&slot, owner, text, 0, urgent);
  }
  Put put(const SlotUpdate* slot, Owner owner, std::string_view text, Waiter waiter, bool urgent) {
    const FieldView field{"f", text};
    const EntryUpdate entry{0, "s", 100, {&field, 1}};
    return box().put(slot, &entry, nullptr, kStart, kWall, waiter, {owner, urgent});
  }
  void flood(Owner owner, int count = 1000, bool urgent = false) {
    for (int i = 0; i < count; ++i) {
      EXPECT_EQ(event(owner, std::string(200, 'x'), 0, urgent), Put::accepted);
    }
  }
  size_t count(const Sent& sent, std::string_view text) {
    return static_cast<size_t>(std::count(sent.begin(), sent.end(), "+xadd:" + std::string(text)));
  }
  std::map<Owner, uint64_t> losses() {
    std::map<Owner, uint64_t> found;
    box().take_losses([&](Owner owner, uint64_t lost) { found[owner] = lost; });
    return found;
  }
  void on_room() { ++rooms_; }
  void on_losses() { ++loss_calls_; }

  int rooms_ = 0;
  int loss_calls_ = 0;
};

TEST_F(OwnersTest, AFloodCostsItsOwnOldestEventsOnly) {
  for (int i = 0; i < 20; ++i) event(2, "quiet", static_cast<Waiter>(i + 1));
  event(1, "first of the flood", 100);
  flood(1);
  event(1, "last of the flood");
  EXPECT_EQ(settled_, (Heard{{100, "dropped"}}));
  EXPECT_EQ(loss_calls_, 1);
  const auto lost = losses();
  EXPECT_EQ(lost.size(), 1u);
  EXPECT_GT(lost.at(1), 900u);
  EXPECT_EQ(lost.at(1), box().lanes().dropped());
  EXPECT_TRUE(losses().empty());
  flood(1, 1);
  EXPECT_EQ(loss_calls_, 2);
  box().connection_opened();
  const Sent sent = drain();
  EXPECT_EQ(count(sent, "quiet"), 20u);
  EXPECT_EQ(count(sent, "last of the flood"), 1u);
  EXPECT_EQ(settled_.size(), 21u);
}

TEST_F(OwnersTest, ManyFloodsTakeFromEachOtherAndNotFromWhoHasLittle) {
  event(9, "quiet", 1);
  event(0, "the agent's", 2);
  for (Owner owner = 1; owner <= 8; ++owner) flood(owner);
  event(9, "quiet", 3);
  EXPECT_EQ(settled_, Heard{});
  EXPECT_LE(box().events().bytes(), 40'000u);
  const auto lost = losses();
  EXPECT_EQ(lost.size(), 8u);
  EXPECT_FALSE(lost.contains(9));
  box().connection_opened();
  const Sent sent = drain();
  EXPECT_EQ(count(sent, "quiet"), 2u);
  EXPECT_EQ(count(sent, "the agent's"), 1u);
  EXPECT_EQ(settled_, (Heard{{1, "stored"}, {2, "stored"}, {3, "stored"}}));
}

TEST_F(OwnersTest, ManyFloodsLeaveRoomThoughHalfIsOnItsWay) {
  box().connection_opened();
  for (Owner owner = 1; owner <= 8; ++owner) flood(owner);
  Unit unit;
  while (box().next(unit, kStart, kWall)) {
  }
  EXPECT_GT(box().in_flight(), 20u);
  for (Owner owner = 1; owner <= 8; ++owner) flood(owner);
  for (Waiter i = 1; i <= 20; ++i) event(9, "quiet", i);
  EXPECT_EQ(settled_, Heard{}) << "nobody was told that it was dropped";
  EXPECT_FALSE(losses().contains(9));
}

TEST_F(OwnersTest, HolesOfAFloodTakeNoRoomThatIsNotCounted) {
  make_shares(400'000, 100'000, 20'000);
  for (int i = 0; i < 300; ++i) {
    event(2, "quiet");
    flood(1, 100);
  }
  EXPECT_LE(box().events().allocated(), 100'000u + 300 * 200u + 4 * 16'384u);
}

TEST_F(OwnersTest, ManyWithOneEventEachTakeNoRoomThatIsNotCounted) {
  make_shares(1 << 20, 1 << 20, 20'000);
  for (Owner owner = 1; owner <= 5000; ++owner) event(owner, "one");
  EXPECT_LE(box().events().bytes(), 1u << 20);
  EXPECT_LE(box().events().allocated(), (1u << 20) + 64 * 16'384u);
  const size_t waiting = box().events().size();
  EXPECT_GT(waiting, 4000u);
  box().connection_opened();
  EXPECT_EQ(count(drain(), "one"), waiting);
  EXPECT_TRUE(box().drained());
  EXPECT_LE(box().events().allocated(), 64 * 16'384u);
}

TEST_F(OwnersTest, WhatIsUrgentHasALaneOfItsOwnAndGoesFirst) {
  flood(1);
  EXPECT_EQ(event(2, "error", 1, true), Put::accepted);
  for (Owner owner = 3; owner < 9; ++owner) flood(owner);
  box().connection_opened();
  const Unit notice = next();
  EXPECT_NE(notice.notice, nullptr);
  EXPECT_EQ(text_of(next()), "+xadd:error");
  flood(1, 50, true);
  event(7, "still here");
  const Sent sent = drain();
  EXPECT_EQ(box().urgent_events().dropped(), 0u);
  EXPECT_EQ(count(sent, "still here"), 1u);
  EXPECT_EQ(settled_, Heard{}) << "the first two are still on their way";
}

TEST_F(OwnersTest, AFloodOfUrgentEventsLetsOthersHaveTheirTurn) {
  for (int i = 0; i < 60; ++i) event(1, "urgent", 0, true);
  for (int i = 0; i < 3; ++i) event(2, "other");
  box().connection_opened();
  const Sent sent = drain();
  ASSERT_EQ(sent.size(), 63u);
  for (const size_t at : {16u, 33u, 50u}) EXPECT_EQ(sent[at], "+xadd:other") << at;
}

TEST_F(OwnersTest, OneSessionsEventsStayInOrderAcrossTheLanes) {
  box().connection_opened();
  progress(1, "0", "start", true);
  progress(1, "1", "one", false);
  event(2, "error", 0, true);
  progress(1, "2", "two", false);
  progress(1, "3", "end", true);
  event(2, "later error", 0, true);
  EXPECT_EQ(drain(), (Sent{"session=3+xadd:start", "+xadd:error", "+xadd:one", "+xadd:two",
                           "+xadd:end", "+xadd:later error"}));
  // Nor does a progress overtake its start, when the others have their turn.
  for (int i = 0; i < 20; ++i) event(2, "urgent", 0, true);
  progress(1, "4", "start", true);
  progress(1, "5", "one", false);
  const Sent sent = drain();
  const auto start = std::find(sent.begin(), sent.end(), "session=5+xadd:start");
  EXPECT_LT(start - sent.begin(), 20);
  EXPECT_EQ(std::count(start, sent.end(), "+xadd:one"), 1);
  // And after a connection that died, once more.
  progress(1, "6", "two", false);
  progress(1, "7", "end", true);
  (void)next();
  box().connection_opened();
  EXPECT_EQ(drain(), (Sent{"session=7", "+xadd:two", "+xadd:end"}));
  EXPECT_TRUE(box().drained());
}

TEST_F(OwnersTest, AnOwnValueWaitsNeitherForValuesOfClientsNorForEvents) {
  box().connection_opened();
  for (int i = 0; i < 500; ++i) fill().string("cell:" + std::to_string(i), "1");
  flood(1, 50);
  fill().hash("robot:state:hog", "1");
  const Sent sent = drain();
  ASSERT_EQ(sent.size(), 551u);
  EXPECT_EQ(sent[0], "robot:state:hog=1");
}

TEST_F(OwnersTest, NobodyWaitsBehindWhatOthersHavePiledUp) {
  make_shares(400'000, 400'000, 400'000);
  for (const bool urgent : {false, true}) {
    flood(1, 300, urgent);
    event(2, "quiet", 0, urgent);
  }
  box().connection_opened();
  const Sent sent = drain();
  ASSERT_EQ(sent.size(), 602u);
  EXPECT_EQ(count(Sent(sent.begin(), sent.begin() + 150), "quiet"), 2u);
}

TEST_F(OwnersTest, WhoComesAndGoesHasOneTurn) {
  make_shares(1'000'000, 400'000, 400'000);
  for (Owner owner = 10; owner < 110; ++owner) {
    flood(owner, 10);
    box().client_gone(owner, 1000);
  }
  event(2, "quiet");
  box().connection_opened();
  const Sent sent = drain();
  ASSERT_EQ(sent.size(), 1001u);
  EXPECT_EQ(count(Sent(sent.begin(), sent.begin() + 30), "quiet"), 1u);
}

TEST_F(OwnersTest, WhatWasLeftKeepsItsOrderAndItsWaiters) {
  event(1, "1a", 1);
  event(2, "2a");
  event(1, "1b");
  event(2, "2b");
  box().client_gone(2, 1000);
  box().client_gone(1, 1000);
  event(3, "3");
  box().connection_opened();
  EXPECT_EQ(drain(), (Sent{"+xadd:1a", "+xadd:2a", "+xadd:1b", "+xadd:2b", "+xadd:3"}));
  EXPECT_EQ(settled_, (Heard{{1, "stored"}}));
}

TEST_F(OwnersTest, AfterALostConnectionTheOldestGoesFirstAgain) {
  make_shares(400'000, 400'000, 400'000);
  flood(1, 30);
  event(1, "1");
  event(2, "2");
  box().connection_opened();
  // By then the newest was sent, and the one before it was not.
  Unit unit;
  do {
    unit = next();
  } while (text_of(unit) != "+xadd:2");
  box().connection_lost();
  EXPECT_EQ(box().events().first_unsent()->sequence, 1u);
  box().connection_opened();
  const Sent sent = drain();
  EXPECT_EQ(sent.size(), 32u);
  EXPECT_EQ(count(sent, "1"), 1u);
  EXPECT_EQ(count(sent, "2"), 1u);
}

TEST_F(OwnersTest, WhoHasMuchHereIsToldToWaitAndWhenThereIsRoom) {
  box().connection_opened();
  EXPECT_FALSE(box().crowded(1));
  while (!box().crowded(1)) ASSERT_EQ(event(1, std::string(200, 'x')), Put::accepted);
  EXPECT_EQ(box().lanes().dropped(), 0u) << "before anything is lost";
  EXPECT_FALSE(box().crowded(2));
  Unit unit;
  int sent = 0;
  while (box().crowded(1)) {
    EXPECT_EQ(rooms_, 0);
    ASSERT_TRUE(box().next(unit, kStart, kWall));
    box().stored(unit, kStart);
    ++sent;
  }
  EXPECT_EQ(rooms_, 1);
  EXPECT_GT(sent, 10);
  (void)drain();
  EXPECT_EQ(rooms_, 1);
}

// --- the event log's bounds ---

TEST_F(OutboxTest, ALateMessageIsNotPublishedButItsEntryStays) {
  fill().event("stop", "stop", 1);
  fill().now += 4s;
  fill().event("", "fresh");
  fill().now = kStart;
  fill().event("", "still true", 0, Duration::max());
  box().connection_opened();
  EXPECT_EQ(drain(kStart + 6s),
            (Sent{"+xadd:stop+late:stop", "+publish:fresh", "+publish:still true"}));
  EXPECT_EQ(box().counters().expired, 1u);
  EXPECT_EQ(settled_, (Heard{{1, "stored"}})) << "no word of subscribers";
}

TEST_F(OutboxTest, AFullLogDropsTheOldestAndSaysOnceHowManyAndFromWhenToWhen) {
  make(6000);
  for (int i = 0; i < 100; ++i) {
    fill().wall = kWall + std::chrono::seconds(i);
    EXPECT_EQ(fill().event(std::to_string(i)), Put::accepted);
    EXPECT_LE(box().events().bytes(), 6000u);
  }
  uint64_t dropped = box().events().dropped();
  EXPECT_GT(dropped, 10u);
  box().connection_opened();
  const Unit unit = next();
  ASSERT_NE(unit.notice, nullptr) << "said before what is left";
  EXPECT_EQ(unit.notice->channel, "node:events:hog");
  auto json = test::JsonDocument::parse(unit.notice->payload);
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json->root()["type"].string(), "events_lost");
  EXPECT_EQ(json->root()["count"].integer(), static_cast<int64_t>(dropped));
  EXPECT_EQ(json->root()["from"].string(), "2026-11-20T14:03:07.000000");
  // The connection dies before it was confirmed, more is lost: told together.
  box().connection_lost();
  for (int i = 0; i < 10; ++i) fill().event("more");
  EXPECT_GE(box().events().dropped(), dropped + 10);
  dropped = box().events().dropped();
  box().connection_opened();
  const Sent sent = drain();
  json = test::JsonDocument::parse(std::string_view(sent[0]).substr(sent[0].find('{')));
  ASSERT_TRUE(json.ok()) << sent[0];
  EXPECT_EQ(json->root()["count"].integer(), static_cast<int64_t>(dropped));
  EXPECT_EQ(sent.back(), "+xadd:more");
  EXPECT_EQ(sent.size() - 1, 110 - dropped);
  EXPECT_TRUE(box().drained());
}

// As the protocol says (4.4), where pointers have eight bytes.
TEST(EventLogSize, IsWhatTheProtocolSays) {
  if (sizeof(void*) != 8) GTEST_SKIP() << "there an event takes a little less";
  const std::string channel(24, 'c'), event(800, 'e'), stream(32, 's');
  const MessageUpdate message{channel, event, {}};
  EXPECT_EQ(EventLog::size_of(nullptr, &message), 168 + channel.size() + event.size());
  const FieldView fields[] = {{"channel", channel}, {"event", event}};
  EntryUpdate entry;
  entry.stream = stream;
  entry.fields = fields;
  EXPECT_EQ(EventLog::size_of(&entry, &message),
            168 + 2 * (channel.size() + event.size()) + stream.size() + 32);
}

TEST_F(OutboxTest, OldEventsGoByAge) {
  make(1 << 20, 1min);
  fill().event("old", "", 1);
  fill().now += 50s;
  fill().event("young");
  box().connection_opened();
  const Sent sent = drain(kStart + 61s);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_NE(sent[0].find("events_lost"), std::string::npos);
  EXPECT_EQ(sent[1], "+xadd:young");
  EXPECT_EQ(box().events().dropped(), 1u);
  EXPECT_EQ(settled_, (Heard{{1, "dropped"}}));
}

TEST_F(OutboxTest, WhatIsBeingSentIsNeverDroppedAndHolesTakeNoRoom) {
  make(40'000);
  box().connection_opened();
  const std::string large(1000, 'x');
  fill().event("flying", "", 1);
  const Unit flying = next();
  for (int i = 0; i < 10'000; ++i) {
    fill().event(large);
    ASSERT_LE(box().events().bytes(), 40'000u);
    ASSERT_LE(box().events().allocated(), 40'000u + 3 * 16'384u);
  }
  const Unit second = next();
  EXPECT_NE(second.notice, nullptr);
  const Unit third = next();
  EXPECT_EQ(text_of(third).size(), 1006u);
  for (int i = 0; i < 1000; ++i) fill().event(large);
  EXPECT_EQ(text_of(flying), "+xadd:flying");
  EXPECT_EQ(text_of(third).size(), 1006u);
  box().stored(flying, kStart);
  box().stored(second, kStart);
  box().stored(third, kStart);
  fill().event("last");
  const Sent sent = drain();
  EXPECT_EQ(sent.back(), "+xadd:last");
  EXPECT_EQ(settled_, (Heard{{1, "stored"}}));
  EXPECT_TRUE(box().drained());
}

TEST_F(OutboxTest, ARecordLargerThanTheLogIsRefusedWithAllThatCameWithIt) {
  make(2000);
  fill().event("small");
  EXPECT_EQ(fill().hash("a", "1", std::string(5000, 'x'), "", 1), Put::too_large);
  EXPECT_EQ(box().events().size(), 1u);
  EXPECT_EQ(box().slots().size(), 0u);
  EXPECT_EQ(settled_, Heard{});
}

TEST_F(OutboxTest, LargeRecordsComeWholeAndGiveTheirRoomBack) {
  box().connection_opened();
  for (const size_t size : {10u, 20'000u, 100u, 60'000u, 16'000u, 16'300u, 5u}) {
    fill().event(std::string(size, 'x'), std::string(size / 2, 'y'));
  }
  size_t at = 0;
  for (const std::string& sent : drain()) {
    const size_t size = std::vector<size_t>{10, 20'000, 100, 60'000, 16'000, 16'300, 5}[at++];
    EXPECT_EQ(sent, "+xadd:" + std::string(size, 'x') + "+publish:" + std::string(size / 2, 'y'));
  }
  EXPECT_EQ(at, 7u);
  EXPECT_EQ(box().events().bytes(), 0u);
}

TEST_F(OutboxTest, ManyEventsAreNotMixedUp) {
  // Sizes that do not divide a chunk, answered in runs, with connections that die between.
  make(64 << 20);
  box().connection_opened();
  int put = 0;
  int expected = 0;
  std::vector<Unit> flying;
  const auto value = [](int i) {
    return std::to_string(i) + std::string(static_cast<size_t>(i * 37 % 900), '.');
  };
  for (int round = 0; round < 2000; ++round) {
    for (int i = 0; i < round % 7; ++i) fill().event(value(put++));
    Unit unit;
    for (int i = 0; i < round % 5 && box().next(unit, kStart, kWall); ++i) flying.push_back(unit);
    if (round % 97 == 0) {
      box().connection_opened();
      flying.clear();
    }
    for (int i = 0; i < round % 4 && !flying.empty(); ++i) {
      ASSERT_EQ(text_of(flying.front()), "+xadd:" + value(expected++));
      box().stored(flying.front(), kStart);
      flying.erase(flying.begin());
    }
  }
  EXPECT_GT(expected, 1000);
}

TEST_F(OutboxTest, AFloodOfEventsDoesNotStarveAValue) {
  box().connection_opened();
  for (int i = 0; i < 1000; ++i) fill().event("e");
  fill().hash("health", "1");
  const Sent sent = drain();
  const auto at = std::find(sent.begin(), sent.end(), "health=1") - sent.begin();
  EXPECT_LE(at, 20);
  EXPECT_EQ(sent.size(), 1001u);
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

}  // namespace
}  // namespace nb::outbox
