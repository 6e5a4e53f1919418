// Unit tests of outbox/: two lanes, their bounds, and that nothing leaves before it is confirmed.
#include "outbox/outbox.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "wire/json.h"

namespace nb::outbox {
namespace {

using namespace std::chrono_literals;

const MonoTime kStart{1000s};
const WallTime kWall{1'795'183'387s};

SlotWrite slot(const std::string& key, const std::string& value) {
  SlotWrite write;
  write.key = key;
  write.fields = {{"health", value}};
  return write;
}

Event message(const std::string& payload, Duration max_age = 5s) {
  Event event;
  event.message = Message{"c", payload, max_age};
  return event;
}

Event entry(const std::string& value) {
  Event event;
  event.entry = StreamEntry{0, "s", 100, {{"f", value}}};
  return event;
}

OutboxOptions options(size_t bytes = 1 << 20, Duration age = 10min) {
  return {"hog", "hog-1", {bytes, age}};
}

// All that would go out now, as text.
std::vector<std::string> drain(Outbox& outbox, MonoTime now = kStart) {
  std::vector<std::string> sent;
  Unit unit;
  while (outbox.next(unit, now)) {
    std::string text;
    if (unit.slot != nullptr) text += unit.slot->write.key + "=" + unit.slot->write.fields[0].value;
    if (unit.record != nullptr) {
      const Event& event = unit.record->event;
      if (event.entry) text += "+xadd:" + event.entry->fields[0].value;
      if (event.message) text += (unit.publish ? "+publish:" : "+late:") + event.message->payload;
    }
    sent.push_back(text);
    outbox.stored(unit);
  }
  return sent;
}

using Sent = std::vector<std::string>;

TEST(Slots, ANewerValueReplacesOneThatWaits) {
  Outbox outbox(options());
  outbox.connection_opened();
  outbox.put(slot("a", "1"));
  outbox.put(slot("b", "1"));
  outbox.put(slot("a", "2"));
  EXPECT_EQ(outbox.slots().dirty_count(), 2u);
  EXPECT_EQ(outbox.slots().coalesced(), 1u);
  EXPECT_EQ(drain(outbox), (Sent{"a=2", "b=1"}));
  EXPECT_TRUE(outbox.drained());
}

TEST(Slots, AValuePutWhileTheOldIsInFlightIsSentToo) {
  Outbox outbox(options());
  outbox.connection_opened();
  outbox.put(slot("a", "1"));
  Unit unit;
  ASSERT_TRUE(outbox.next(unit, kStart));
  outbox.put(slot("a", "2"));
  outbox.stored(unit);
  EXPECT_FALSE(outbox.drained());
  EXPECT_EQ(drain(outbox), (Sent{"a=2"}));
}

TEST(Slots, TheSameKeyInAnotherDatabaseIsAnotherSlot) {
  Outbox outbox(options());
  SlotWrite other = slot("a", "2");
  other.db = 3;
  outbox.put(slot("a", "1"));
  outbox.put(other);
  EXPECT_EQ(outbox.slots().size(), 2u);
}

TEST(Outbox, AnUpdateIsOneUnitInSteadyState) {
  Outbox outbox(options());
  outbox.connection_opened();
  EXPECT_EQ(drain(outbox), Sent{});
  outbox.put(slot("a", "1"), entry("h1"), kStart, kWall);
  EXPECT_EQ(drain(outbox), (Sent{"a=1+xadd:h1"}));
  // Two updates before the flush: both entries, the value once, with the first.
  outbox.put(slot("a", "2"), entry("h2"), kStart, kWall);
  outbox.put(slot("a", "3"), entry("h3"), kStart, kWall);
  EXPECT_EQ(drain(outbox), (Sent{"a=3+xadd:h2", "+xadd:h3"}));
}

TEST(Outbox, AfterAnOutageSlotsGoBeforeEvents) {
  Outbox outbox(options());
  outbox.put(slot("a", "1"), entry("h1"), kStart, kWall);
  outbox.put(slot("a", "2"), entry("h2"), kStart, kWall);
  outbox.put(slot("b", "1"));
  outbox.connection_opened();
  EXPECT_EQ(drain(outbox), (Sent{"a=2", "b=1", "+xadd:h1", "+xadd:h2"}));
  outbox.connection_lost();
  outbox.connection_opened();
  EXPECT_EQ(drain(outbox), (Sent{"a=2", "b=1"})) << "every slot again, no event twice";
}

TEST(Outbox, WhatWasInFlightWhenTheConnectionDiedIsSentAgain) {
  Outbox outbox(options());
  outbox.connection_opened();
  outbox.put(slot("a", "1"), entry("h1"), kStart, kWall);
  outbox.post(entry("h2"), kStart, kWall);
  Unit first;
  Unit second;
  ASSERT_TRUE(outbox.next(first, kStart));
  ASSERT_TRUE(outbox.next(second, kStart));
  EXPECT_EQ(outbox.in_flight(), 2u);
  outbox.stored(first);
  outbox.connection_lost();
  outbox.connection_opened();
  EXPECT_EQ(drain(outbox), (Sent{"a=1", "+xadd:h2"}));
  EXPECT_TRUE(outbox.drained());
}

TEST(Outbox, EverythingIsWrittenAgainWhenRedisWasEmptied) {
  Outbox outbox(options());
  outbox.connection_opened();
  outbox.put(slot("a", "1"));
  outbox.put(slot("b", "1"));
  (void)drain(outbox);
  outbox.rewrite_all();
  EXPECT_EQ(drain(outbox), (Sent{"a=1", "b=1"}));
}

TEST(Outbox, ARefusedUnitDoesNotBlockTheOthers) {
  Outbox outbox(options());
  outbox.connection_opened();
  outbox.put(slot("a", "1"), entry("h1"), kStart, kWall);
  outbox.put(slot("b", "1"));
  Unit unit;
  ASSERT_TRUE(outbox.next(unit, kStart));
  outbox.refused(unit);
  EXPECT_EQ(drain(outbox), (Sent{"b=1"}));
  EXPECT_EQ(outbox.counters().refused, 1u);
  outbox.put(slot("a", "2"));
  EXPECT_EQ(drain(outbox), (Sent{"a=2"}));
}

TEST(Outbox, ALateMessageIsNotPublishedButItsEntryStays) {
  Outbox outbox(options());
  Event both = message("stop");
  both.entry = entry("stop").entry;
  outbox.post(both, kStart, kWall);
  outbox.post(message("fresh"), kStart + 4s, kWall);
  outbox.post(message("still true", Duration::max()), kStart, kWall);
  outbox.connection_opened();
  EXPECT_EQ(drain(outbox, kStart + 6s),
            (Sent{"+xadd:stop+late:stop", "+publish:fresh", "+publish:still true"}));
  EXPECT_EQ(outbox.counters().expired, 1u);
}

TEST(Outbox, AFullLogDropsTheOldestAndSaysHowManyAndFromWhenToWhen) {
  Outbox outbox(options(6000));
  for (int i = 0; i < 40; ++i) {
    outbox.post(entry(std::to_string(i)), kStart, kWall + std::chrono::seconds(i));
    EXPECT_LE(outbox.events().bytes(), 6000u);
  }
  EXPECT_GT(outbox.events().dropped(), 10u);
  outbox.connection_opened();
  const Sent sent = drain(outbox);
  EXPECT_EQ(sent.back(), "+xadd:39");
  uint64_t lost = 0;
  for (const std::string& line : sent) {
    const auto at = line.find('{');
    if (at == std::string::npos) continue;
    auto json = wire::JsonDocument::parse(line.substr(at));
    ASSERT_TRUE(json.ok()) << line;
    EXPECT_EQ(json->root()["type"].string(), "events_lost");
    EXPECT_TRUE(json->root()["from"].string().has_value());
    lost += static_cast<uint64_t>(*json->root()["count"].integer());
  }
  EXPECT_GT(lost, 0u);
}

TEST(Outbox, OldEventsGoByAge) {
  Outbox outbox(options(1 << 20, 1min));
  outbox.post(entry("old"), kStart, kWall);
  outbox.post(entry("young"), kStart + 50s, kWall);
  outbox.connection_opened();
  EXPECT_EQ(drain(outbox, kStart + 61s), (Sent{"+xadd:young"}));
  EXPECT_EQ(outbox.events().dropped(), 1u);
}

TEST(Outbox, WhatIsBeingSentIsNeverDropped) {
  Outbox outbox(options(3000));
  outbox.connection_opened();
  outbox.post(entry("flying"), kStart, kWall);
  Unit unit;
  ASSERT_TRUE(outbox.next(unit, kStart));
  for (int i = 0; i < 40; ++i) outbox.post(entry(std::to_string(i)), kStart, kWall);
  EXPECT_EQ(unit.record->event.entry->fields[0].value, "flying");
  outbox.stored(unit);
  EXPECT_EQ(drain(outbox).back(), "+xadd:39");
}

TEST(Outbox, ARecordLargerThanTheLogIsDroppedAlone) {
  Outbox outbox(options(2000));
  outbox.post(entry("small"), kStart, kWall);
  outbox.post(entry(std::string(5000, 'x')), kStart, kWall);
  EXPECT_GE(outbox.events().dropped(), 1u);
  EXPECT_LE(outbox.events().bytes(), 2000u);
}

}  // namespace
}  // namespace nb::outbox
