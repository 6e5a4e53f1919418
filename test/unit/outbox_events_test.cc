// Unit tests of outbox/: the event log's bounds in bytes and age, and those of the streams.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "outbox_fixture.h"
#include "support/json_document.h"

namespace nb::outbox {
namespace {

class OutboxEventsTest : public OutboxTest {};

TEST_F(OutboxEventsTest, AnEntryCountsTheSameInItsStreamWithAMessageAndWithout) {
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

// --- the event log's bounds ---

TEST_F(OutboxEventsTest, ALateMessageIsNotPublishedButItsEntryStays) {
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

TEST_F(OutboxEventsTest, AMessageMayBeAsOldAsItsLimit) {
  box().connection_opened();
  fill().event("", "a");
  EXPECT_EQ(drain(kStart + 5s), (Sent{"+publish:a"}));
  fill().event("", "b");
  EXPECT_EQ(drain(kStart + 5s + 1ns), (Sent{"+late:b"}));
}

TEST_F(OutboxEventsTest, AFullLogDropsTheOldestAndSaysOnceHowManyAndFromWhenToWhen) {
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
  EXPECT_EQ(EventLog::size_of(nullptr, &message), 184 + channel.size() + event.size());
  const FieldView fields[] = {{"channel", channel}, {"event", event}};
  EntryUpdate entry;
  entry.stream = stream;
  entry.fields = fields;
  EXPECT_EQ(EventLog::size_of(&entry, &message),
            184 + 2 * (channel.size() + event.size()) + stream.size() + 32);
}

TEST_F(OutboxEventsTest, OldEventsGoByAge) {
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
  EXPECT_EQ(box().events().dropped_old(), 1u);
  EXPECT_EQ(settled_, (Heard{{1, "dropped"}}));
}

// PROTOCOL.md, 4.4.
TEST_F(OutboxEventsTest, AnAgeIsLookedAtWhenAnotherEventComesAndBeforeAnythingIsSent) {
  fill().event("old", "", 1);
  fill().now += 11min;
  EXPECT_EQ(box().events().dropped(), 0u) << "nobody has looked";
  EXPECT_GT(box().events().bytes(), 0u);
  fill().event("another", "", 2);
  EXPECT_EQ(box().events().dropped(), 1u);
  EXPECT_EQ(box().events().dropped_old(), 1u);
  EXPECT_EQ(settled_, (Heard{{1, "dropped"}}));
  settled_.clear();
  box().connection_opened();
  const Sent sent = drain(fill().now + 10min + 1ms);
  ASSERT_EQ(sent.size(), 1u) << "only the word of what was lost";
  EXPECT_NE(sent[0].find("events_lost"), std::string::npos);
  EXPECT_EQ(settled_, (Heard{{2, "dropped"}}));
}

TEST_F(OutboxEventsTest, WhatIsBeingSentIsNeverDroppedAndHolesTakeNoRoom) {
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

TEST_F(OutboxEventsTest, ARecordLargerThanTheLogIsRefusedWithAllThatCameWithIt) {
  make(2000);
  fill().event("small");
  EXPECT_EQ(fill().hash("a", "1", std::string(5000, 'x'), "", 1), Put::too_large);
  EXPECT_EQ(box().events().size(), 1u);
  EXPECT_EQ(box().slots().size(), 0u);
  EXPECT_EQ(settled_, Heard{});
}

TEST_F(OutboxEventsTest, LargeRecordsComeWholeAndGiveTheirRoomBack) {
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

TEST_F(OutboxEventsTest, ManyEventsAreNotMixedUp) {
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

}  // namespace
}  // namespace nb::outbox
