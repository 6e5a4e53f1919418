// Unit tests of outbox/: chunks, one lane, one stream, by themselves.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "outbox_fixture.h"

namespace nb::outbox {
namespace {

constexpr size_t kChunk = 16 * 1024;

TEST(Limits, AreWhatTheProtocolSays) {
  EXPECT_EQ(EventLogLimits().bytes, 1u << 20);
  EXPECT_EQ(EventLogLimits().owner_bytes, 512u << 10);
  EXPECT_EQ(EventLogLimits().urgent_bytes, 512u << 10);
  EXPECT_EQ(EventLogLimits().age, 10min);
  EXPECT_EQ(SlotLimits().bytes, 4u << 20);
  EXPECT_EQ(SlotLimits().client_bytes, 1u << 20);
  EXPECT_EQ((SlotLimits{100, 300}.share()), 100u);
  EXPECT_EQ((SlotLimits{800, 300}.for_all()), 600u);
  EXPECT_EQ((SlotLimits{64 * 400, 300}.little()), 100u);
  EXPECT_EQ((EventLogLimits{1000, 1min, 600, 500}.share(false)), 600u);
  EXPECT_EQ((EventLogLimits{1000, 1min, 600, 500}.share(true)), 500u);
  EXPECT_EQ(MessageUpdate().max_age, 5s);
  EXPECT_EQ(Origin().owner, 0u) << "the agent's own";
  EXPECT_FALSE(Origin().urgent);
}

// --- chunks ---

TEST(Chunks, ARowsRecordsLieInChunksOf16KiB) {
  Chunks chunks;
  Chunks::Row row;
  const Chunks::Room first = chunks.take(&row, 1000);
  const Chunks::Room second = chunks.take(&row, 1000);
  EXPECT_EQ(second.chunk, first.chunk);
  EXPECT_EQ(static_cast<char*>(second.at), static_cast<char*>(first.at) + 1000);
  const size_t one = chunks.allocated();
  EXPECT_GT(one, kChunk - 64);
  EXPECT_LE(one, kChunk);
  EXPECT_EQ(chunks.wasted(), 0u);

  // What is left at the end of a chunk is too small for the next record.
  const size_t left = one - 2000;
  EXPECT_EQ(Chunks::waste_by(&row, left), 0u);
  EXPECT_EQ(Chunks::waste_by(&row, left + 8), left);
  EXPECT_EQ(Chunks::waste_by(nullptr, left + 8), 0u);
  EXPECT_EQ(Chunks::waste_by(&row, one + 8), 0u) << "it gets a chunk of its own";
  const Chunks::Room third = chunks.take(&row, left + 8);
  EXPECT_NE(third.chunk, first.chunk);
  EXPECT_EQ(chunks.wasted(), left);
  EXPECT_EQ(chunks.allocated(), 2 * one);
  chunks.give_back(first.chunk);
  EXPECT_EQ(chunks.wasted(), left) << "the second one is still there";
  chunks.give_back(second.chunk);
  EXPECT_EQ(chunks.wasted(), 0u);
  chunks.give_back(third.chunk);
  EXPECT_EQ(chunks.allocated(), 2 * one) << "empty ones are kept";
  const Chunks::Room again = chunks.take(&row, one);
  EXPECT_EQ(chunks.allocated(), 2 * one) << "and used again";
  EXPECT_EQ(Chunks::waste_by(&row, 8), 0u);
  chunks.give_back(again.chunk);
}

TEST(Chunks, AChunkIsFilledToItsLastByte) {
  Chunks chunks;
  Chunks::Row row;
  const Chunks::Room first = chunks.take(&row, 1000);
  const Chunks::Room last = chunks.take(&row, chunks.allocated() - 1000);
  EXPECT_EQ(last.chunk, first.chunk);
  EXPECT_EQ(chunks.wasted(), 0u);
  chunks.give_back(first.chunk);
  chunks.give_back(last.chunk);
}

TEST(Chunks, AnEmptyChunkThatWasNotNeededForASecondGoes) {
  Chunks chunks;
  Chunks::Row rows[3];
  std::vector<Chunks::Room> rooms;
  for (Chunks::Row& row : rows) rooms.push_back(chunks.take(&row, 100));
  const size_t one = chunks.allocated() / 3;
  for (const Chunks::Room& room : rooms) chunks.give_back(room.chunk);
  chunks.trim(kStart);
  EXPECT_EQ(chunks.allocated(), 3 * one) << "all were needed just now";
  // One of them is needed within the next second.
  chunks.give_back(chunks.take(&rows[0], 100).chunk);
  chunks.trim(kStart + 999ms);
  EXPECT_EQ(chunks.allocated(), 3 * one);
  chunks.trim(kStart + 1s);
  EXPECT_EQ(chunks.allocated(), one);
  chunks.trim(kStart + 1999ms);
  EXPECT_EQ(chunks.allocated(), one);
  chunks.trim(kStart + 2s);
  EXPECT_EQ(chunks.allocated(), 0u);
}

TEST(Chunks, ARecordWithoutARowTakesWhatItNeeds) {
  Chunks chunks;
  Chunks::Row row;
  const Chunks::Room alone = chunks.take(nullptr, 104);
  EXPECT_EQ(chunks.allocated(), 104u);
  const Chunks::Room large = chunks.take(&row, 2 * kChunk);
  EXPECT_EQ(chunks.allocated(), 104u + 2 * kChunk);
  EXPECT_EQ(row.current, nullptr);
  chunks.give_back(alone.chunk);
  chunks.give_back(large.chunk);
  EXPECT_EQ(chunks.allocated(), 0u) << "and it is not kept";
}

// --- one lane ---

class LaneTest : public testing::Test {
 protected:
  LaneTest() { make({2000, 1min, 1500, 2000}); }
  void make(EventLogLimits limits) {
    log_.emplace(limits, false, Delegate<bool(Record&)>::to<&LaneTest::on_dropped>(this));
  }
  bool on_dropped(Record& record) {
    dropped_.push_back(record.sequence);
    return false;
  }
  // The only client of its user.
  static Origin of(Owner owner) { return {.owner = owner, .user = static_cast<uint32_t>(owner)}; }
  static Origin of(Owner owner, uint32_t user) { return {.owner = owner, .user = user}; }
  // A record of exactly so many bytes.
  Record* push(Owner owner, size_t bytes, MonoTime now = kStart) {
    return push(of(owner), bytes, now);
  }
  Record* push(Origin origin, size_t bytes, MonoTime now = kStart) {
    const std::string payload(bytes - sizeof(Record) - 8, 'x');
    const MessageUpdate message{"", payload};
    EXPECT_EQ(EventLog::size_of(nullptr, &message), bytes);
    return log_->push(origin, ++last_, nullptr, &message, now, kWall);
  }
  void send() {
    Record* next = log_->next_to_send();
    ASSERT_NE(next, nullptr);
    log_->mark_sent(*next);
  }
  using Dropped = std::vector<uint64_t>;

  std::optional<EventLog> log_;
  Dropped dropped_;
  uint64_t last_ = 0;
};

TEST_F(LaneTest, AnOwnerMayFillItsShareToTheLastByte) {
  ASSERT_NE(push(1, 1000), nullptr);
  ASSERT_NE(push(1, 504), nullptr);
  EXPECT_EQ(dropped_, (Dropped{1})) << "four bytes too many";
  make({2000, 1min, 1504, 2000});
  dropped_.clear();
  ASSERT_NE(push(1, 1000), nullptr);
  ASSERT_NE(push(1, 504), nullptr);
  EXPECT_EQ(dropped_, Dropped{});
  EXPECT_EQ(log_->bytes(), 1504u);
  EXPECT_EQ(push(1, 1512), nullptr) << "larger than the share";
  EXPECT_EQ(log_->dropped(), 3u);
}

TEST_F(LaneTest, TheLaneMayBeFullToTheLastByte) {
  ASSERT_NE(push(1, 1000), nullptr);
  ASSERT_NE(push(2, 1000), nullptr);
  EXPECT_EQ(dropped_, Dropped{});
  EXPECT_EQ(log_->bytes(), 2000u);
  ASSERT_NE(push(3, 256), nullptr);
  EXPECT_EQ(dropped_, (Dropped{1})) << "of two that have most, the one that came first";
  EXPECT_EQ(log_->size(), 2u);
}

TEST_F(LaneTest, HasRoomOnlyWhereNothingNeedBeDropped) {
  EXPECT_TRUE(log_->has_room(of(1), 1500));
  EXPECT_FALSE(log_->has_room(of(1), 1501));
  ASSERT_NE(push(1, 1000), nullptr);
  EXPECT_TRUE(log_->has_room(of(1), 500));
  EXPECT_FALSE(log_->has_room(of(1), 501));
  EXPECT_TRUE(log_->has_room(of(2), 1000));
  EXPECT_FALSE(log_->has_room(of(2), 1001));
  EXPECT_EQ(dropped_, Dropped{});
}

TEST_F(LaneTest, WhatIsOnItsWayIsNotDropped) {
  make({2000, 1min, 2000, 2000});
  ASSERT_NE(push(1, 1000), nullptr);
  send();
  EXPECT_EQ(push(1, 1008), nullptr);
  EXPECT_EQ(dropped_, Dropped{});
  EXPECT_EQ(log_->dropped(), 1u);
  log_->drop_old(kStart + 1h);
  EXPECT_EQ(dropped_, Dropped{});
}

TEST_F(LaneTest, OnlyTheAgentDisplacesTheAgentsEvents) {
  ASSERT_NE(push(0, 1400), nullptr);
  ASSERT_NE(push(1, 600), nullptr);
  ASSERT_NE(push(2, 256), nullptr);
  EXPECT_EQ(dropped_, (Dropped{2}));
  EXPECT_EQ(push(3, 1000), nullptr) << "nobody but the agent has so much to lose";
  EXPECT_EQ(dropped_, (Dropped{2, 3}));
  ASSERT_NE(push(0, 256), nullptr);
  EXPECT_EQ(dropped_, (Dropped{2, 3, 1})) << "its share is full";
}

TEST_F(LaneTest, TheAgentsEventsAreNoUsers) {
  make({2000, 1min, 2000, 2000});
  ASSERT_NE(push(of(0, 0), 904), nullptr);
  ASSERT_NE(push(of(1, 0), 400), nullptr);
  ASSERT_NE(push(of(2, 5), 600), nullptr);
  ASSERT_NE(push(of(3, 6), 256), nullptr);
  EXPECT_EQ(dropped_, (Dropped{3})) << "root's clients do not answer for the agent";
}

TEST_F(LaneTest, TheUserWithMostLosesAnEventOfTheClientWithMost) {
  make({2000, 1min, 2000, 2000});
  ASSERT_NE(push(of(1, 5), 792), nullptr);
  ASSERT_NE(push(of(2, 6), 400), nullptr);
  ASSERT_NE(push(of(3, 6), 496), nullptr);
  ASSERT_NE(push(of(2, 6), 304), nullptr);
  ASSERT_NE(push(of(4, 7), 304), nullptr);
  EXPECT_EQ(dropped_, (Dropped{2})) << "1200 bytes of two clients, of which one has 704";
  ASSERT_NE(push(of(4, 7), 304), nullptr);
  EXPECT_EQ(dropped_, (Dropped{2, 3})) << "800 bytes of two clients, and no other user has more";
}

TEST_F(LaneTest, WhoPutsAnEventInIsMeasuredWithThatEvent) {
  make({2000, 1min, 2000, 2000});
  ASSERT_NE(push(of(1, 5), 1000), nullptr);
  ASSERT_NE(push(of(2, 6), 400), nullptr);
  ASSERT_NE(push(of(3, 6), 504), nullptr);
  ASSERT_NE(push(of(4, 6), 256), nullptr);
  EXPECT_EQ(dropped_, (Dropped{3})) << "1160 of one user, and the client with most of them";
}

TEST_F(LaneTest, WhatWasLeftAndWhatWasSentIsStillTheUsers) {
  make({2000, 1min, 2000, 2000});
  ASSERT_NE(push(of(1, 5), 600), nullptr);
  send();
  ASSERT_NE(push(of(2, 5), 256), nullptr);
  log_->leave(2, 99);
  ASSERT_NE(push(of(3, 6), 800), nullptr);
  ASSERT_NE(push(of(4, 7), 496), nullptr);
  EXPECT_EQ(dropped_, (Dropped{2}));
  log_->pop_sent();
  ASSERT_NE(push(of(5, 5), 600), nullptr);
  ASSERT_NE(push(of(4, 7), 256), nullptr);
  EXPECT_EQ(dropped_, (Dropped{2, 3})) << "what was answered counts no longer";
}

TEST_F(LaneTest, AnEventMayBeAsOldAsTheLimit) {
  ASSERT_NE(push(1, 256), nullptr);
  ASSERT_NE(push(1, 256, kStart + 1s), nullptr);
  log_->drop_old(kStart + 1min);
  EXPECT_EQ(dropped_, Dropped{});
  log_->drop_old(kStart + 1min + 1ns);
  EXPECT_EQ(dropped_, (Dropped{1}));
  EXPECT_EQ(log_->size(), 1u);
}

TEST_F(LaneTest, HalfOfItAtMostIsOnItsWay) {
  make({2000, 1min, 2000, 2000});
  ASSERT_NE(push(1, 1000), nullptr);
  ASSERT_NE(push(1, 256), nullptr);
  ASSERT_NE(push(1, 256), nullptr);
  send();
  EXPECT_FALSE(log_->half_is_sent());
  send();
  EXPECT_TRUE(log_->half_is_sent());
  EXPECT_EQ(log_->next_to_send(), nullptr);
  log_->pop_sent();
  EXPECT_FALSE(log_->half_is_sent());
  EXPECT_NE(log_->next_to_send(), nullptr);
  EXPECT_EQ(log_->bytes(), 512u);
}

TEST_F(LaneTest, ATurnIsTwoKilobytes) {
  make({100'000, 1min, 50'000, 50'000});
  for (int i = 0; i < 12; ++i) {
    ASSERT_NE(push(1, 512), nullptr);
    ASSERT_NE(push(2, 1024), nullptr);
  }
  std::string owners;
  for (int i = 0; i < 24; ++i) {
    owners += std::to_string(log_->next_to_send()->owner->owner);
    send();
  }
  EXPECT_EQ(owners, "111122111122111122222222");
}

TEST_F(LaneTest, AnHeirHasWhatAnOwnerLeavesInTheOrderOfItsNumbers) {
  make({100'000, 1min, 50'000, 50'000});
  constexpr Owner kHeir = 99;
  for (const Owner owner : {1u, 2u, 1u, 2u, 1u}) ASSERT_NE(push(owner, 256), nullptr);
  log_->leave(1, kHeir);
  log_->leave(2, kHeir);
  log_->leave(3, kHeir);
  for (uint64_t sequence = 1; sequence <= 5; ++sequence) {
    Record* next = log_->next_to_send();
    EXPECT_EQ(next->sequence, sequence);
    EXPECT_EQ(next->owner->owner, kHeir);
    EXPECT_EQ(next->owner->records, 5u);
    EXPECT_EQ(next->owner->bytes, 5 * 256u);
    send();
  }
  for (int i = 0; i < 5; ++i) log_->pop_sent();
  EXPECT_EQ(log_->bytes(), 0u);
  EXPECT_EQ(log_->size(), 0u);
}

TEST_F(LaneTest, AnOwnerIsCrowdedFromThreeQuartersToHalf) {
  make({100'000, 1min, 4000, 50'000});
  for (int i = 0; i < 3; ++i) ASSERT_NE(push(1, 1000), nullptr);
  EXPECT_FALSE(log_->crowded(1)) << "three quarters are not more than three quarters";
  ASSERT_NE(push(1, 256), nullptr);
  EXPECT_TRUE(log_->crowded(1));
  EXPECT_FALSE(log_->crowded(2));
  EXPECT_FALSE(log_->take_relief());
  for (int i = 0; i < 3; ++i) {
    send();
    log_->pop_sent();
    EXPECT_EQ(log_->crowded(1), i == 0) << log_->bytes();
  }
  EXPECT_TRUE(log_->take_relief());
  EXPECT_FALSE(log_->take_relief());
}

TEST_F(LaneTest, OwnersShareTheLaneInEqualParts) {
  make({8000, 1min, 8000, 50'000});
  ASSERT_NE(push(1, 3000), nullptr);
  EXPECT_FALSE(log_->crowded(1)) << "three quarters of a half";
  ASSERT_NE(push(2, 256), nullptr);
  ASSERT_NE(push(1, 256), nullptr);
  EXPECT_TRUE(log_->crowded(1)) << "more than three quarters of a third";
  ASSERT_NE(push(2, 1736), nullptr);
  EXPECT_FALSE(log_->crowded(2)) << "1992 of 2666";
  ASSERT_NE(push(2, 256), nullptr);
  EXPECT_TRUE(log_->crowded(2));
  ASSERT_NE(push(3, 256), nullptr);
  EXPECT_FALSE(log_->crowded(3));
  ASSERT_NE(push(3, 512), nullptr);
  EXPECT_TRUE(log_->crowded(3)) << "the lane is nearly full: a quarter of a part is much then";
}

TEST_F(LaneTest, TheClientsOfOneUserShareThatUsersPart) {
  make({8000, 1min, 8000, 50'000});
  ASSERT_NE(push(of(1, 5), 256), nullptr);
  ASSERT_NE(push(of(2, 5), 256), nullptr);
  ASSERT_NE(push(of(3, 6), 1744), nullptr);
  EXPECT_FALSE(log_->crowded(3)) << "three quarters of a third are 1998";
  ASSERT_NE(push(of(3, 6), 256), nullptr);
  EXPECT_TRUE(log_->crowded(3));
  ASSERT_NE(push(of(1, 5), 936), nullptr);
  EXPECT_FALSE(log_->crowded(1)) << "1192 of three quarters of a fifth, which are 1200";
  ASSERT_NE(push(of(2, 5), 952), nullptr);
  EXPECT_TRUE(log_->crowded(2)) << "1208";
}

TEST_F(LaneTest, AGapSpansAllThatWasLost) {
  Gap gap;
  gap.add({2, kWall + 3s, kWall + 4s});
  gap.add({});
  gap.add({1, kWall + 1s, kWall + 2s});
  EXPECT_EQ(gap.last, kWall + 4s);
  gap.add({1, kWall + 5s, kWall + 6s});
  gap.add({1, kWall + 2s, kWall + 3s});
  EXPECT_EQ(gap.count, 5u);
  EXPECT_EQ(gap.first, kWall + 1s);
  EXPECT_EQ(gap.last, kWall + 6s);
  EXPECT_FALSE(log_->has_gap());
  log_->put_back(gap);
  EXPECT_TRUE(log_->has_gap());
  EXPECT_EQ(log_->take_gap().count, 5u);
  EXPECT_FALSE(log_->has_gap());
}

TEST_F(LaneTest, ARecordIsWhatWasPutIn) {
  const FieldView fields[] = {{"a", "1"}, {"bb", ""}};
  const EntryUpdate entry{3, "stream", 7, fields, 8, 9s};
  const MessageUpdate message{"channel", "payload", 2s};
  Record* record = log_->push({.owner = 5}, 42, &entry, &message, kStart, kWall);
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->sequence, 42u);
  EXPECT_EQ(record->db, 3);
  EXPECT_EQ(record->max_length, 7u);
  EXPECT_EQ(record->max_bytes, 8u);
  EXPECT_EQ(record->ttl, 9s);
  EXPECT_EQ(record->max_age, 2s);
  EXPECT_EQ(record->wall, kWall);
  EXPECT_EQ(record->owner->owner, 5u);
  EntryView view = record->entry();
  EXPECT_EQ(view.db, 3);
  EXPECT_EQ(view.stream, "stream");
  ASSERT_EQ(view.fields, 2u);
  for (const char* text : {"a", "1", "bb", ""}) EXPECT_EQ(view.texts.next(), text);
  EXPECT_EQ(record->message().channel, "channel");
  EXPECT_EQ(record->message().payload, "payload");
  EXPECT_EQ(record->entry_bytes(), 5 * 4u + 6 + 1 + 1 + 2);
}

// --- one stream ---

TEST(StreamBounds, AreLoweredByTheMeanSizeOfItsEntries) {
  Streams streams;
  const auto length = [&](uint64_t bytes, uint64_t max_length, uint64_t max_bytes) {
    return streams.next(0, "s", bytes, max_length, max_bytes, {}, kStart).max_length;
  };
  // 32 bytes of Redis' own for each.
  EXPECT_EQ(length(68, 0, 0), 0u) << "unbounded";
  EXPECT_EQ(length(68, 1000, 0), 1000u);
  EXPECT_EQ(length(68, 1000, 10'000), 100u);
  EXPECT_EQ(length(68, 50, 10'000), 50u);
  EXPECT_EQ(length(68, 0, 10'000), 100u);
  EXPECT_EQ(length(68, 1000, 100), 16u) << "however large, so many stay";
  // A larger entry counts a sixty-fourth.
  EXPECT_EQ(length(68 + 64 * 100, 100'000, 20'000), 100u);
}

TEST(StreamBounds, ATimeToLiveIsSetAgainAfterAnEighthOfIt) {
  Streams streams;
  const auto expire = [&](Duration after, Duration ttl = 80s, int db = 0) {
    return streams.next(db, "s", 10, 0, 0, ttl, kStart + after).expire;
  };
  EXPECT_FALSE(expire(0s, 0s)) << "it has none";
  EXPECT_TRUE(expire(0s));
  EXPECT_TRUE(expire(0s, 80s, 1)) << "another database's is another stream";
  EXPECT_FALSE(expire(10s - 1ns));
  EXPECT_TRUE(expire(10s));
  EXPECT_FALSE(expire(19s));
  EXPECT_TRUE(expire(20s));
}

TEST(StreamBounds, Of256KnownStreamsTheOneUsedLongestAgoIsForgotten) {
  Streams streams;
  const auto expire = [&](int number, Duration after) {
    return streams.next(0, std::to_string(number), 10, 0, 0, 1h, kStart + after).expire;
  };
  for (int i = 0; i < 256; ++i) EXPECT_TRUE(expire(i, std::chrono::seconds(i)));
  EXPECT_FALSE(expire(0, 300s)) << "all are known";
  EXPECT_TRUE(expire(1000, 301s)) << "one more: the second one goes";
  EXPECT_FALSE(expire(0, 302s));
  EXPECT_FALSE(expire(2, 302s));
  EXPECT_TRUE(expire(1, 302s));
}

}  // namespace
}  // namespace nb::outbox
