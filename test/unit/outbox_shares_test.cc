// Unit tests of outbox/slot_shares: one client's values cost no other client its own.
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "outbox/outbox.h"
#include "support/updates.h"

namespace nb::outbox {
namespace {

using namespace std::chrono_literals;

const MonoTime kStart{1000s};

class SlotSharesTest : public testing::Test {
 protected:
  SlotSharesTest() { make({100'000, 25'000}); }

  void make(SlotLimits limits) {
    outbox_.emplace(OutboxOptions{"hog", "hog-1", {}, limits});
    outbox_->set_on_settled(Delegate<void(const Settled&)>::to<&SlotSharesTest::on_settled>(this));
    outbox_->set_on_room(Delegate<void()>::to<&SlotSharesTest::on_room>(this));
  }
  Outbox& box() { return *outbox_; }
  const SlotShares& shares() { return box().slots().shares(); }

  // About 1 KB with its bookkeeping, unless said otherwise.
  Put set(Owner owner, std::string_view key, size_t size = 500) {
    const std::string value(size, 'x');
    const FieldView field{"", value};
    const SlotUpdate slot{.key = key,
                          .kind = SlotKind::string,
                          .fields = {&field, 1},
                          .limited = true,
                          .shared = true};
    return box().put(&slot, nullptr, nullptr, kStart, WallTime{}, 0, {owner});
  }
  static std::string key_of(Owner owner, int i) {
    return std::to_string(owner) + "/" + std::to_string(i);
  }
  // Puts until there is no more room, and says why.
  Put fill(Owner owner, int* count = nullptr) {
    for (int i = 0;; ++i) {
      const Put put = set(owner, key_of(owner, i));
      if (put == Put::accepted) continue;
      if (count != nullptr) *count = i;
      return put;
    }
  }
  // Redis confirms all that waits. How many units.
  int store() {
    Unit unit;
    int count = 0;
    for (; box().next(unit, kStart, WallTime{}); ++count) box().stored(unit, kStart);
    return count;
  }
  // One after the other, each confirmed before the next comes.
  void flood(Owner owner, int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(set(owner, key_of(owner, i)), Put::accepted) << i;
      store();
      ASSERT_LE(shares().bytes(), shares().limits().bytes);
    }
  }
  bool has(Owner owner, int i) { return box().find(0, key_of(owner, i)).has_value(); }
  int count_of(Owner owner, int most) {
    int count = 0;
    for (int i = 0; i < most; ++i) count += has(owner, i);
    return count;
  }
  void on_settled(const Settled&) {}
  void on_room() { ++rooms_; }

  std::optional<Outbox> outbox_;
  int rooms_ = 0;
};

// --- what Redis has ---

TEST_F(SlotSharesTest, AFloodOfStoredValuesTakesTheFloodersOldest) {
  box().connection_opened();
  flood(2, 10);
  flood(1, 1000);
  EXPECT_EQ(count_of(2, 10), 10);
  const int kept = count_of(1, 1000);
  EXPECT_GT(kept, 50);
  EXPECT_LT(kept, 100);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(has(1, i), i >= 1000 - kept) << i;
}

TEST_F(SlotSharesTest, WhatIsWrittenOftenIsKept) {
  box().connection_opened();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(set(1, "often"), Put::accepted);
    ASSERT_EQ(set(1, key_of(1, i)), Put::accepted);
    store();
  }
  EXPECT_TRUE(box().find(0, "often").has_value());
  EXPECT_FALSE(has(1, 0));
}

TEST_F(SlotSharesTest, ALaterClientGetsItsShareFromTheOneWithMost) {
  box().connection_opened();
  flood(1, 1000);
  flood(2, 15);
  EXPECT_EQ(count_of(2, 15), 15);
  // From its share on it is the newcomer's own that go.
  const int left = count_of(1, 1000);
  flood(2, 1000);
  EXPECT_GE(count_of(1, 1000), left - 15);
  EXPECT_GE(count_of(2, 1000), 15);
}

TEST_F(SlotSharesTest, WhatIsForgottenIsNotWrittenAgainAndTheRestIs) {
  box().connection_opened();
  flood(1, 300);
  const int kept = count_of(1, 300);
  box().rewrite_all();
  EXPECT_EQ(store(), kept);
  EXPECT_EQ(count_of(1, 300), kept);
}

TEST_F(SlotSharesTest, WhatIsBeingWrittenAgainIsForgottenTooButNotWhileItIsOnItsWay) {
  box().connection_opened();
  flood(1, 300);
  box().rewrite_all();
  std::vector<Unit> flying(5);
  for (Unit& unit : flying) ASSERT_TRUE(box().next(unit, kStart, WallTime{}));
  std::set<std::string> keys;
  for (const Unit& unit : flying) keys.insert(unit.slot->key);
  for (int i = 0; i < 20; ++i) ASSERT_EQ(set(1, "new" + std::to_string(i)), Put::accepted);
  for (const Unit& unit : flying) EXPECT_TRUE(keys.contains(unit.slot->key));
  for (const Unit& unit : flying) box().stored(unit, kStart);
  store();
  EXPECT_TRUE(box().drained());
  flood(1, 300);
  // All there are: then there is nothing to forget.
  box().rewrite_all();
  flying.clear();
  for (Unit unit; box().next(unit, kStart, WallTime{});) flying.push_back(unit);
  EXPECT_EQ(set(1, "one more"), Put::full);
  for (const Unit& unit : flying) box().stored(unit, kStart);
  EXPECT_EQ(set(1, "one more"), Put::accepted);
}

TEST_F(SlotSharesTest, AValueIsReplacedInPlaceWhenItIsTheOldest) {
  box().connection_opened();
  flood(1, 1000);
  for (int i = 0; i < 1000; ++i) {
    if (!has(1, i)) continue;
    EXPECT_EQ(set(1, key_of(1, i), 700), Put::accepted) << "the oldest there is";
    EXPECT_TRUE(has(1, i));
    break;
  }
}

TEST_F(SlotSharesTest, WhatRedisRefusesTakesNoRoomForEver) {
  box().connection_opened();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(set(1, key_of(1, i)), Put::accepted) << i;
    Unit unit;
    while (box().next(unit, kStart, WallTime{})) box().refused(unit, "NOPERM");
  }
  EXPECT_LE(shares().bytes(), 100'000u);
}

// --- what waits ---

TEST_F(SlotSharesTest, AShareMayBeFullToTheLastByte) {
  ASSERT_EQ(set(1, "first"), Put::accepted);
  const size_t size = shares().bytes();  // of the key too, which is as long each time
  make({100'000, 3 * size});
  for (const char* key : {"first", "secnd", "third"}) EXPECT_EQ(set(1, key), Put::accepted) << key;
  EXPECT_EQ(set(1, "forth"), Put::share_full);
  make({100'000, size});
  EXPECT_EQ(set(1, "first"), Put::accepted) << "one value may be all of it";
  make({100'000, size - 1});
  EXPECT_EQ(set(1, "first"), Put::too_large);
}

TEST_F(SlotSharesTest, WhatWaitsIsBoundedForEachClient) {
  int first = 0;
  int second = 0;
  EXPECT_EQ(fill(1, &first), Put::share_full);
  EXPECT_EQ(fill(2, &second), Put::share_full);
  EXPECT_EQ(first, second);
  EXPECT_GT(first, 15);
  EXPECT_EQ(set(1, key_of(1, 0)), Put::accepted) << "in place of the old one";
  EXPECT_EQ(set(1, key_of(2, 0)), Put::share_full) << "another's value becomes its own";
  EXPECT_EQ(set(3, key_of(1, 0)), Put::accepted);
  EXPECT_EQ(set(1, "1/a"), Put::accepted) << "room for what is another's now";
  EXPECT_EQ(set(4, "large", 26'000), Put::too_large);
  box().connection_opened();
  EXPECT_EQ(store(), first + second + 1);
  EXPECT_EQ(shares().waiting(), 0u);
  EXPECT_EQ(set(1, "and more"), Put::accepted);
}

TEST_F(SlotSharesTest, WhatWaitsTakesTheRoomOfWhatRedisHasAndIsNotForgotten) {
  box().connection_opened();
  flood(1, 1000);
  box().connection_lost();
  int waiting = 0;
  EXPECT_EQ(fill(2, &waiting), Put::share_full);
  EXPECT_EQ(count_of(2, waiting), waiting);
  box().connection_opened();
  EXPECT_EQ(store(), waiting);
}

TEST_F(SlotSharesTest, ManyClientsLeaveRoomForClientsWithLittle) {
  make({4 << 20, 1 << 20});
  box().client_came(99, 1000);
  for (Owner owner = 1; owner <= 3; ++owner) EXPECT_EQ(fill(owner), Put::share_full);
  for (Owner owner = 4; owner <= 50; ++owner) EXPECT_EQ(fill(owner), Put::full);
  EXPECT_GT(shares().waiting(), 3u << 20);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(set(99, key_of(99, i)), Put::accepted);
  EXPECT_EQ(set(1, "one more value"), Put::share_full);
  EXPECT_LE(shares().bytes(), 4u << 20);
}

// --- clients that have gone ---

TEST_F(SlotSharesTest, WhatAClientLeavesStaysAndCountsForItNoMore) {
  int count = 0;
  for (Owner owner = 1; owner <= 2; ++owner) {
    box().client_came(owner, 1000);
    EXPECT_EQ(fill(owner, &count), Put::share_full);
    box().client_gone(owner, 1000);
  }
  box().client_came(3, 1000);
  int later = 0;
  EXPECT_EQ(fill(3, &later), Put::share_full);
  EXPECT_EQ(later, count);
  box().connection_opened();
  EXPECT_EQ(store(), 3 * count);
}

TEST_F(SlotSharesTest, ConnectionsThatComeAndGoLeaveRoomForOthers) {
  make({4 << 20, 1 << 20});
  box().client_came(1, 1000);
  size_t before = 0;
  for (Owner owner = 2; owner < 500; ++owner) {
    box().client_came(owner, 1000);
    const Put put = fill(owner);
    EXPECT_TRUE(put == Put::share_full || put == Put::full);
    box().client_gone(owner, 1000);
    if (owner > 10) {
      EXPECT_EQ(shares().waiting(), before) << owner;
    }
    before = shares().waiting();
  }
  box().client_came(1000, 1000);
  box().client_came(1001, 1001);
  EXPECT_EQ(set(1000, "who comes later"), Put::full);
  for (const Owner owner : std::initializer_list<Owner>{1, 1001}) {
    for (int i = 0; i < 10; ++i) EXPECT_EQ(set(owner, key_of(owner, i)), Put::accepted) << owner;
  }
  box().connection_opened();
  store();
  EXPECT_EQ(set(1000, "who comes later"), Put::accepted);
}

TEST_F(SlotSharesTest, StoredValuesOfClientsThatHaveGoneAreForgottenLikeOthers) {
  box().connection_opened();
  for (Owner owner = 1; owner <= 200; ++owner) {
    box().client_came(owner, owner % 2);
    flood(owner, 3);
    box().client_gone(owner, owner % 2);
  }
  box().client_came(1000, 5);
  flood(1000, 15);
  EXPECT_EQ(count_of(1000, 15), 15);
  EXPECT_EQ(count_of(1, 3), 0);
  EXPECT_GT(count_of(200, 3), 0);
  box().client_gone(1000, 1000);
  store();
  EXPECT_LE(shares().bytes(), 100'000u);
}

TEST_F(SlotSharesTest, OfAUsersClientsThatHaveGoneAllThatRedisHasCountsTogether) {
  make({100'000, 100'000});
  box().connection_opened();
  for (Owner owner = 1; owner <= 2; ++owner) {
    box().client_came(owner, 1000);
    flood(owner, 20);
    box().client_gone(owner, 1000);
  }
  flood(3, 30);
  for (int i = 0; count_of(1, 20) == 20 && count_of(3, 30) == 30; ++i) {
    ASSERT_EQ(set(4, key_of(4, i)), Put::accepted) << i;
    store();
  }
  EXPECT_EQ(count_of(3, 30), 30) << "less than what both of the others have left";
}

TEST_F(SlotSharesTest, WhatWaitsOfAUsersClientsThatHaveGoneIsOnePart) {
  for (const bool both_wait : {false, true}) {
    make({100'000, 100'000});
    box().connection_opened();
    for (Owner owner = 1; owner <= 2; ++owner) box().client_came(owner, 1000);
    ASSERT_EQ(set(2, "second"), Put::accepted);
    if (!both_wait) store();
    ASSERT_EQ(set(1, "first"), Put::accepted);
    for (Owner owner = 1; owner <= 2; ++owner) box().client_gone(owner, 1000);
    const size_t before = shares().waiting();
    for (int i = 0; !box().crowded(3); ++i) ASSERT_EQ(set(3, key_of(3, i)), Put::accepted);
    const size_t part = 75'000 / 3;  // of the two that wait, and of one more
    EXPECT_GT(shares().waiting() - before, part / 4 * 3) << both_wait;
    EXPECT_LT(shares().waiting() - before, part / 4 * 3 + 1'500) << both_wait;
  }
}

TEST_F(SlotSharesTest, TheAgentsOwnAreNeitherRefusedNorForgotten) {
  test::Filler fill_own{box(), kStart};
  for (int i = 0; i < 50; ++i) fill_own.hash("own" + std::to_string(i), "1");
  for (Owner owner = 1; owner <= 9; ++owner) (void)fill(owner);
  const std::string large(90'000, 'x');
  EXPECT_EQ(fill_own.hash("health", large), Put::accepted);
  box().connection_opened();
  store();
  flood(1, 1000);
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(box().find(0, "own" + std::to_string(i)).has_value());
  EXPECT_EQ(box().find(0, "health")->fields[0].value, large);
}

// --- clients that should wait ---

TEST_F(SlotSharesTest, AClientWithMuchWaitingIsToldToWaitAndWhenThereIsRoom) {
  box().connection_opened();
  EXPECT_FALSE(box().crowded(1));
  for (int i = 0; !box().crowded(1); ++i) ASSERT_EQ(set(1, key_of(1, i)), Put::accepted);
  EXPECT_FALSE(box().crowded(2));
  Unit unit;
  int sent = 0;
  for (; box().crowded(1); ++sent) {
    EXPECT_EQ(rooms_, 0);
    ASSERT_TRUE(box().next(unit, kStart, WallTime{}));
    box().stored(unit, kStart);
  }
  EXPECT_GT(sent, 3);
  EXPECT_EQ(rooms_, 1);
  store();
  EXPECT_EQ(rooms_, 1);
}

TEST_F(SlotSharesTest, AClientThatHasGoneIsNotToldThatThereIsRoom) {
  box().connection_opened();
  for (int i = 0; !box().crowded(1); ++i) ASSERT_EQ(set(1, key_of(1, i)), Put::accepted);
  box().client_gone(1, 1000);
  store();
  EXPECT_EQ(rooms_, 0);
}

TEST_F(SlotSharesTest, AClientThatWaitsNoMoreLeavesItsPartToTheOthers) {
  make({100'000, 100'000});
  box().connection_opened();
  set(2, "other", 10);
  for (int i = 0; !box().crowded(1); ++i) ASSERT_EQ(set(1, key_of(1, i)), Put::accepted);
  const size_t part = 75'000 / 3;  // of two that wait, and of one more
  EXPECT_GT(shares().waiting(), part / 4 * 3);
  Unit unit;
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(box().next(unit, kStart, WallTime{}));
    box().stored(unit, kStart);
  }
  EXPECT_LE(shares().waiting(), 75'000u / 2 / 2);
  EXPECT_GT(shares().waiting(), part / 2);
  EXPECT_FALSE(box().crowded(1)) << "half of its larger part";
}

TEST_F(SlotSharesTest, RoomThatComesFromWhatHasExpiredIsTold) {
  const std::string value(6'000, 'x');
  const FieldView field{"", value};
  for (const char* key : {"a", "b", "c"}) {
    const SlotUpdate slot{
        .key = key, .kind = SlotKind::string, .fields = {&field, 1}, .ttl = 10s, .limited = true};
    EXPECT_EQ(box().put(&slot, nullptr, nullptr, kStart, WallTime{}, 0, {1}), Put::accepted);
  }
  set(1, "d", 2'000);
  EXPECT_TRUE(box().crowded(1));
  box().connection_opened();
  rooms_ = 0;
  Unit unit;
  // Their deletions wait, and take next to nothing.
  while (box().next(unit, kStart + 10s, WallTime{}) && rooms_ == 0) {
  }
  EXPECT_EQ(rooms_, 1) << "before any of them is settled";
  EXPECT_FALSE(box().crowded(1));
}

TEST_F(SlotSharesTest, ManyClientsThatWaitForEachOtherAreNeverRefused) {
  make({4 << 20, 1 << 20});
  box().connection_opened();
  for (int i = 0; i < 5000; ++i) {
    for (Owner owner = 1; owner <= 40; ++owner) {
      if (box().crowded(owner)) continue;
      ASSERT_EQ(set(owner, key_of(owner, i)), Put::accepted) << i;
    }
    Unit unit;
    for (int k = 0; k < 5 && box().next(unit, kStart, WallTime{}); ++k) box().stored(unit, kStart);
  }
}

}  // namespace
}  // namespace nb::outbox
