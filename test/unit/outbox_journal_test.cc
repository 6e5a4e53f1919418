// Unit tests of outbox/: the numbers of events, and what a journal is told of them.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "outbox_fixture.h"

namespace nb::outbox {
namespace {

std::string value_of(const Record& record) {
  EntryView entry = record.entry();
  (void)entry.texts.next();
  return std::string(entry.texts.next());
}

// Notes what it is told: "+7 text" for an event, "7" for a confirmation, "-7" for a drop.
class RecordingJournal final : public Journal {
 public:
  explicit RecordingJournal(Start start = {{"spool-1", 0}, 0}) : start_(start) {}

  Start start() override { return start_; }
  void append(const Record& record) override {
    told.push_back("+" + std::to_string(record.sequence) + " " + value_of(record));
  }
  bool keep_dropped(const Record& record) override {
    told.push_back("-" + std::to_string(record.sequence));
    return keeps;
  }
  void confirm(uint64_t up_to) override { told.push_back(std::to_string(up_to)); }

  std::vector<std::string> take() { return std::exchange(told, {}); }

  std::vector<std::string> told;
  bool keeps = false;

 private:
  Start start_;
};

using Told = std::vector<std::string>;

class JournalTest : public OutboxTest {
 protected:
  JournalTest() { attach(); }
  // A lane of so many bytes; a record of a short text takes 208.
  void attach(size_t event_bytes = 1 << 20, Duration age = 10min) {
    make(event_bytes, age);
    box().attach(journal_);
  }
  void event(std::string_view text, Waiter waiter = 0, bool urgent = false, Owner owner = 0) {
    const FieldView field{"f", text};
    const EntryUpdate entry{0, "s", 100, {&field, 1}};
    EXPECT_EQ(box().put(nullptr, &entry, nullptr, now_, kWall, waiter,
                        {.owner = owner, .urgent = urgent}),
              Put::accepted);
  }
  bool put_back(uint64_t sequence, std::string_view text, Waiter waiter = 0) {
    const FieldView field{"f", text};
    const EntryUpdate entry{0, "s", 100, {&field, 1}};
    return box().put_back(sequence, &entry, nullptr, now_, kWall, waiter);
  }

  RecordingJournal journal_;
  MonoTime now_ = kStart;
};

TEST_F(JournalTest, WithoutAJournalTheInstanceIsTheAgentsAndNumbersRiseByOne) {
  make(1 << 20);
  box().connection_opened();
  event("a");
  event("b", 0, true);
  fill().hash("a value has no number", "1");
  event("c");
  // Urgent ones go first, whatever their numbers.
  for (const uint64_t sequence : {2u, 1u, 3u}) {
    const Unit unit = next();
    EXPECT_EQ(unit.record->sequence, sequence);
    EXPECT_EQ(box().lanes().id(*unit.record).sequence, sequence);
    EXPECT_EQ(box().lanes().id(*unit.record).instance, "hog-1");
  }
}

TEST_F(JournalTest, AJournalGetsEachEventInTheOrderOfItsNumbers) {
  event("a");
  event("b", 0, true);
  event("c", 0, false, 7);
  EXPECT_EQ(journal_.take(), (Told{"+1 a", "+2 b", "+3 c"}));
  fill().hash("a value is no event", "1");
  EXPECT_EQ(journal_.take(), Told{});
}

TEST_F(JournalTest, GoesOnBehindTheLastNumberOfItsJournal) {
  RecordingJournal older({{"spool-1", 41}, 41});
  make(1 << 20);
  box().attach(older);
  box().connection_opened();
  event("a");
  EXPECT_EQ(older.take(), (Told{"+42 a"}));
  EXPECT_EQ(box().lanes().id(*next().record).instance, "spool-1");
}

TEST_F(JournalTest, ConfirmsUpToTheFirstEventThatIsNotSettled) {
  box().connection_opened();
  event("a");
  event("b");
  event("c", 0, true);
  event("d", 0, true);
  event("e");
  (void)journal_.take();
  const Unit c = next();
  const Unit d = next();
  const Unit a = next();
  const Unit b = next();
  const Unit e = next();
  box().stored(c, kStart);
  box().stored(d, kStart);
  EXPECT_EQ(journal_.take(), Told{}) << "the first two are still on their way";
  box().stored(a, kStart);
  EXPECT_EQ(journal_.take(), (Told{"1"}));
  box().refused(b, "WRONGTYPE no");
  EXPECT_EQ(journal_.take(), (Told{"4"})) << "a refusal settles an event, too";
  box().stored(e, kStart);
  EXPECT_EQ(journal_.take(), (Told{"5"}));
}

TEST_F(JournalTest, ManyEventsInTurnsAreConfirmedToTheLast) {
  box().connection_opened();
  uint64_t last = 0;
  for (int round = 0; round < 50; ++round) {
    for (Owner owner = 1; owner <= 5; ++owner) {
      for (Owner i = 0; i < owner * 3; ++i) event("text", 0, i % 3 == 0, owner);
    }
    std::vector<Unit> units;
    Unit unit;
    while (box().next(unit, kStart, kWall)) units.push_back(unit);
    for (const Unit& each : units) box().stored(each, kStart);
    for (const std::string& told : journal_.take()) {
      if (told[0] == '+') continue;
      EXPECT_GT(std::stoull(told), last);
      last = std::stoull(told);
    }
    EXPECT_EQ(last, 45u * static_cast<uint64_t>(round + 1));
  }
}

TEST_F(JournalTest, WhatIsDroppedByAgeIsConfirmed) {
  attach(1 << 20, 1min);
  event("old", 1);
  now_ += 50s;
  event("young");
  (void)journal_.take();
  box().connection_opened();
  Unit unit;
  while (box().next(unit, kStart + 61s, kWall)) box().stored(unit, kStart + 61s);
  EXPECT_EQ(journal_.take(), (Told{"-1", "1", "2"}));
  EXPECT_EQ(settled_, (Heard{{1, "dropped"}}));
}

TEST_F(JournalTest, WhatIsDisplacedIsConfirmedAlthoughOlderEventsWait) {
  attach(700);  // three records
  box().connection_opened();
  event("a");
  const Unit a = next();
  event("b", 2);
  event("c");
  event("d");
  EXPECT_EQ(journal_.take(), (Told{"+1 a", "+2 b", "+3 c", "-2", "+4 d"}));
  EXPECT_EQ(settled_, (Heard{{2, "dropped"}}));
  box().stored(a, kStart);
  EXPECT_EQ(journal_.take(), (Told{"2"}));
}

TEST_F(JournalTest, AnEventThatTheJournalKeepsIsNoLossAndComesBack) {
  attach(700);
  journal_.keeps = true;
  for (const char* text : {"a", "b", "c", "d"}) event(text, static_cast<Waiter>(text[0]));
  EXPECT_EQ(journal_.take(), (Told{"+1 a", "+2 b", "+3 c", "-1", "+4 d"}));
  EXPECT_EQ(box().lanes().dropped(), 0u);
  EXPECT_EQ(settled_, Heard{});
  EXPECT_FALSE(put_back(1, "a")) << "there is no room, and nobody has to make any";
  EXPECT_EQ(box().lanes().dropped(), 0u);
  EXPECT_EQ(box().lanes().size(), 3u);

  box().connection_opened();
  EXPECT_EQ(drain(), (Sent{"+xadd:b", "+xadd:c", "+xadd:d"})) << "and no notice of a loss";
  EXPECT_EQ(journal_.take(), Told{}) << "the first one is still to come";
  EXPECT_TRUE(put_back(1, "a", 'a'));
  EXPECT_EQ(journal_.take(), Told{}) << "the journal has it already";
  EXPECT_EQ(drain(), (Sent{"+xadd:a"}));
  EXPECT_EQ(journal_.take(), (Told{"4"}));
  EXPECT_EQ(settled_, (Heard{{'a', "stored"}, {'b', "stored"}, {'c', "stored"}, {'d', "stored"}}));
}

TEST_F(JournalTest, AnAbortedTransactionKeepsItsNumber) {
  box().connection_opened();
  event("a");
  event("b");
  event("c");
  (void)journal_.take();
  const Unit a = next();
  const Unit b = next();
  box().aborted(a);
  box().stored(b, kStart);
  EXPECT_EQ(journal_.take(), Told{});
  const Unit c = next();
  const Unit again = next();
  EXPECT_EQ(again.record->sequence, 1u);
  box().stored(c, kStart);
  EXPECT_EQ(journal_.take(), Told{});
  box().stored(again, kStart);
  EXPECT_EQ(journal_.take(), (Told{"3"})) << "and it was appended once";
}

TEST_F(JournalTest, AfterALostConnectionWhatIsInDoubtGoesFirst) {
  box().connection_opened();
  event("a");
  event("b", 0, true);
  event("c");
  event("d");
  box().stored(next(), kStart);
  box().aborted(next());
  (void)next();
  box().connection_lost();
  (void)journal_.take();
  box().connection_opened();
  EXPECT_EQ(drain(), (Sent{"+xadd:c", "+xadd:a", "+xadd:d"}));
  EXPECT_EQ(journal_.take(), (Told{"3", "4"})) << "nothing is appended twice";
}

TEST_F(JournalTest, WhatAnEarlierRunLeftIsPutBackInItsOrder) {
  RecordingJournal older({{"spool-1", 9}, 6});
  make(1 << 20);
  box().attach(older);
  event("new");
  for (const uint64_t left : {7u, 8u, 9u}) {
    EXPECT_TRUE(put_back(left, "left " + std::to_string(left)));
  }
  EXPECT_EQ(older.take(), (Told{"+10 new"}));
  box().connection_opened();
  EXPECT_EQ(drain(), (Sent{"+xadd:left 7", "+xadd:left 8", "+xadd:left 9", "+xadd:new"}));
  EXPECT_EQ(older.take(), (Told{"7", "8", "9", "10"}));
}

TEST(Confirmed, CountsInAnyOrder) {
  Confirmed confirmed(100);
  EXPECT_EQ(confirmed.up_to(), 100u);
  for (uint64_t sequence = 300; sequence > 101; --sequence) EXPECT_FALSE(confirmed.add(sequence));
  EXPECT_EQ(confirmed.up_to(), 100u);
  EXPECT_TRUE(confirmed.add(101));
  EXPECT_EQ(confirmed.up_to(), 300u);
  for (uint64_t sequence = 301; sequence <= 1000; ++sequence) {
    EXPECT_TRUE(confirmed.add(sequence));
    EXPECT_EQ(confirmed.up_to(), sequence);
  }
  EXPECT_FALSE(confirmed.add(1002));
  EXPECT_EQ(confirmed.up_to(), 1000u);
}

TEST(Confirmed, WhatIsConfirmedAlreadyChangesNothing) {
  Confirmed confirmed(100);
  EXPECT_FALSE(confirmed.add(100));
  EXPECT_FALSE(confirmed.add(1));
  EXPECT_EQ(confirmed.up_to(), 100u);
  for (uint64_t sequence = 101; sequence <= 300; ++sequence) EXPECT_TRUE(confirmed.add(sequence));
  EXPECT_FALSE(confirmed.add(200));
  EXPECT_EQ(confirmed.up_to(), 300u);
}

}  // namespace
}  // namespace nb::outbox
