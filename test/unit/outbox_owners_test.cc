// Unit tests of outbox/: one owner's events cost no other owner its own; owners and lanes take
// turns.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "outbox_fixture.h"

namespace nb::outbox {
namespace {

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
    return box().put(slot, &entry, nullptr, kStart, kWall, waiter, {owner, user_of(owner), urgent});
  }
  // Each client is the only one of its user, unless users_ names another.
  uint32_t user_of(Owner owner) const {
    const auto at = users_.find(owner);
    return at != users_.end() ? at->second : static_cast<uint32_t>(owner);
  }
  void leave(Owner owner) { box().client_gone(owner, user_of(owner)); }
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

  std::map<Owner, uint32_t> users_;
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

TEST_F(OwnersTest, TheAgentIsNotToldOfItsOwnLosses) {
  flood(0);
  EXPECT_GT(box().lanes().dropped(), 0u);
  EXPECT_EQ(loss_calls_, 0);
  EXPECT_TRUE(losses().empty()) << "a notice tells of them";
}

TEST_F(OwnersTest, ManyFloodsTakeFromEachOtherAndNotFromOwnersWithLittle) {
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

TEST_F(OwnersTest, ManyClientsOfOneUserTakeFromEachOtherOnly) {
  for (Owner owner = 100; owner < 144; ++owner) users_[owner] = 1000;
  for (const bool urgent : {false, true}) {
    make_shares(512 * 1024, 512 * 1024, 512 * 1024);
    settled_.clear();
    box().connection_opened();
    const auto flood_all = [&] {
      for (int i = 0; i < 100; ++i) {
        for (Owner owner = 100; owner < 144; ++owner) flood(owner, 1, urgent);
      }
    };
    flood_all();
    Unit unit;
    while (box().next(unit, kStart, kWall)) {
    }
    EXPECT_GT(box().in_flight(), 500u) << "half of the lane, which cannot give way";
    for (Waiter i = 1; i <= 30; ++i) {
      event(1, std::string(500, 'q'), i, urgent);  // more than each flooder has, and less than all
    }
    flood_all();
    EXPECT_EQ(settled_, Heard{}) << "no report was dropped";
    const auto lost = losses();
    EXPECT_FALSE(lost.contains(1));
    EXPECT_EQ(lost.size(), 44u);
    for (const auto& [owner, count] : lost) EXPECT_GT(count, 100u) << owner;
    box().connection_opened();
    EXPECT_EQ(count(drain(), std::string(500, 'q')), 30u);
    EXPECT_EQ(settled_.size(), 30u);
  }
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

TEST_F(OwnersTest, AnEventThatFindsNoRoomIsALossOfItsOwner) {
  make_shares(1000, 1000, 1000);
  box().connection_opened();
  event(1, std::string(300, 'x'));
  (void)next();  // what is on its way cannot give way
  EXPECT_EQ(event(1, std::string(600, 'x'), 5), Put::accepted);
  EXPECT_EQ(settled_, (Heard{{5, "dropped"}}));
  EXPECT_EQ(losses(), (std::map<Owner, uint64_t>{{1, 1}}));
}

TEST_F(OwnersTest, WhatIsUrgentHasALaneOfItsOwnAndGoesFirst) {
  flood(1);
  EXPECT_EQ(event(2, "error", 1, true), Put::accepted);
  for (Owner owner = 3; owner < 9; ++owner) flood(owner);
  box().connection_opened();
  const Unit notice = next();
  EXPECT_NE(notice.notice, nullptr);
  EXPECT_EQ(text_of(next()), "+xadd:error");
  flood(1, 45, true);
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

TEST_F(OwnersTest, AUserWhoseClientsComeAndGoHasOneTurn) {
  make_shares(1'000'000, 400'000, 400'000);
  for (Owner owner = 10; owner < 110; ++owner) {
    users_[owner] = 1000;
    flood(owner, 10);
    leave(owner);
  }
  event(2, "quiet");
  box().connection_opened();
  const Sent sent = drain();
  ASSERT_EQ(sent.size(), 1001u);
  EXPECT_EQ(count(Sent(sent.begin(), sent.begin() + 30), "quiet"), 1u);
}

TEST_F(OwnersTest, WhatWasLeftKeepsItsOrderAndItsWaiters) {
  users_ = {{1, 1000}, {2, 1000}};
  event(1, "1a", 1);
  event(2, "2a");
  event(1, "1b");
  event(2, "2b");
  leave(2);
  leave(1);
  event(3, "3");
  box().connection_opened();
  EXPECT_EQ(drain(), (Sent{"+xadd:1a", "+xadd:2a", "+xadd:1b", "+xadd:2b", "+xadd:3"}));
  EXPECT_EQ(settled_, (Heard{{1, "stored"}}));
}

TEST_F(OwnersTest, WhatWasLeftIsNeitherTheAgentsNorAnotherClients) {
  users_ = {{7, 0}, {5, 8}};
  event(7, "left");
  leave(7);
  event(5, "another");
  leave(5);
  EXPECT_FALSE(box().crowded(8));
  // The user's number is no client's: its heir has events of its own.
  flood(8);
  box().take_losses([](Owner owner, uint64_t) { EXPECT_EQ(owner, 8u); });
  flood(9, 500);
  flood(10, 500);
  flood(11, 500);
  box().connection_opened();
  const Sent sent = drain();
  EXPECT_EQ(count(sent, "left"), 1u);
  EXPECT_EQ(count(sent, "another"), 1u);
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

TEST_F(OwnersTest, AnOwnerWithMuchHereIsToldToWaitAndWhenThereIsRoom) {
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

}  // namespace
}  // namespace nb::outbox
