// Unit tests of outbox/: values that expire, are deleted or forgotten, have limits, or are written
// by others too.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "outbox_fixture.h"

namespace nb::outbox {
namespace {

class OutboxValuesTest : public OutboxTest {};

// --- strings, deletions, what is forgotten ---

TEST_F(OutboxValuesTest, SetAndDeleteOfAKeyReplaceEachOther) {
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

TEST_F(OutboxValuesTest, ADeletionIsForgottenOnceStored) {
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

TEST_F(OutboxValuesTest, ADeletionThatWasSentTwiceIsForgottenWhenTheConnectionDiesInBetween) {
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

TEST_F(OutboxValuesTest, AnEndedSessionIsNotWrittenAgain) {
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

TEST_F(OutboxValuesTest, AForgottenSlotThatIsPutAgainMeanwhileStays) {
  box().connection_opened();
  fill().remove("k");
  const Unit unit = next();
  fill().string("k", "2");
  box().stored(unit, kStart);
  EXPECT_EQ(drain(), (Sent{"k=2"}));
  EXPECT_EQ(box().slots().size(), 1u);
}

TEST_F(OutboxValuesTest, AStringKeepsItsExpiryOverAnOutage) {
  box().connection_opened();
  fill().string("k", "1", 60s);
  EXPECT_EQ(next().slot->ttl_left(kStart), 60s);
  box().connection_lost();
  box().connection_opened();
  const Slot& slot = *next(kStart + 20s).slot;
  EXPECT_EQ(slot.ttl_left(kStart + 20s), 40s);
  EXPECT_EQ(slot.ttl_left(kStart + 60s - 2ms), 2ms);
  EXPECT_EQ(slot.ttl_left(kStart + 60s), 1ms) << "the least that Redis takes";
}

TEST_F(OutboxValuesTest, AStringWithoutAnExpiryHasNone) {
  box().connection_opened();
  fill().string("k", "1");
  EXPECT_EQ(next().slot->ttl_left(kStart + 60s), 0s);
}

TEST_F(OutboxValuesTest, AStoredStringThatHasExpiredIsForgotten) {
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

TEST_F(OutboxValuesTest, AnotherPutForgetsWhatHasExpired) {
  box().connection_opened();
  for (int i = 0; i < 100; ++i) fill().string("k" + std::to_string(i), "1", 60s);
  (void)drain();
  EXPECT_EQ(box().slots().size(), 100u);
  fill().now = kStart + 61s;
  fill().string("other", "1");
  EXPECT_EQ(box().slots().size(), 1u);
}

TEST_F(OutboxValuesTest, WhatHasExpiredIsLookedForOnceASecond) {
  box().connection_opened();
  fill().string("a", "1", 1s);
  fill().string("b", "1", 1500ms);
  (void)drain();
  const auto known_after = [&](Duration time) {
    fill().now = kStart + time;
    fill().string("other", "1");
    return box().slots().size() - 1;
  };
  EXPECT_EQ(known_after(999ms), 2u);
  EXPECT_EQ(known_after(1s), 1u) << "a string's time is over at its end";
  EXPECT_EQ(known_after(1600ms), 1u) << "it has just been looked for";
  EXPECT_EQ(known_after(1999ms), 1u);
  EXPECT_EQ(known_after(2s), 0u);
}

TEST_F(OutboxValuesTest, AStringThatExpiresOnItsWayIsNotDeletedAsWell) {
  box().connection_opened();
  fill().string("k", "1", 1s);
  const Unit flying = next();
  fill().now = kStart + 2s;
  fill().string("other", "1");
  EXPECT_EQ(flying.slot->kind, SlotKind::string);
  box().stored(flying, kStart + 2s);
  fill().now = kStart + 3s;
  fill().string("other", "2");
  EXPECT_EQ(drain(kStart + 3s), (Sent{"other=2"})) << "Redis lets it expire by itself";
  EXPECT_EQ(box().slots().size(), 1u);
}

TEST_F(OutboxValuesTest, AStringThatExpiresUnstoredTakesNoMoreRoomThanItsKey) {
  fill().string("k", std::string(10'000, 'x'), 1s, 0, true);
  const size_t before = box().slots().shares().bytes();
  EXPECT_GT(before, 10'000u);
  fill().now = kStart + 1s;
  fill().string("other", "1");
  EXPECT_LT(box().slots().shares().bytes(), before - 9'900);
  EXPECT_GT(box().slots().shares().bytes(), 0u) << "its deletion waits";
}

TEST_F(OutboxValuesTest, AStringThatExpiresUnstoredIsDeleted) {
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

TEST_F(OutboxValuesTest, LimitedSlotsHaveTheirLimit) {
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

TEST_F(OutboxValuesTest, WhatTakesNoMoreRoomThanBeforeIsTakenThoughTheLimitWasLowered) {
  const std::string value(1000, 'x');
  for (const char* key : {"a", "b", "c"}) fill().string(key, value, {}, 0, true);
  box().set_slot_limits({2000, 2000});
  const SlotUpdate deletion{.key = "a", .kind = SlotKind::remove, .forget = true, .limited = true};
  EXPECT_EQ(fill().put(&deletion, {}, {}, 0), Put::accepted);
  EXPECT_EQ(fill().string("b", value, {}, 0, true), Put::accepted);
  EXPECT_EQ(fill().string("b", value + "x", {}, 0, true), Put::share_full);
  EXPECT_EQ(fill().string("d", "", {}, 0, true), Put::share_full);
}

TEST_F(OutboxValuesTest, AValueThatWasLargerKeepsNoRoomThatIsNotCounted) {
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

TEST_F(SharedTest, ASecondLossWhileAValueIsOnItsWayFillsInAgainWhatIsMissing) {
  shared("mode", "1");
  (void)store(false);
  box().rewrite_all();
  const Unit unit = next();
  box().rewrite_all();
  box().stored(unit, kStart);
  EXPECT_EQ(store(true), (Sent{"mode=1 NX"})) << "others may have written it meanwhile";
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

}  // namespace
}  // namespace nb::outbox
