// The fixture of the unit tests of outbox/: an outbox, its output as text, and the outcomes that
// its waiters were told.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "outbox/outbox.h"
#include "support/updates.h"

namespace nb::outbox {

using namespace std::chrono_literals;

inline const MonoTime kStart{1000s};
inline const WallTime kWall{1'795'183'387s};

using Sent = std::vector<std::string>;

inline std::string text_of(const Unit& unit) {
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

}  // namespace nb::outbox
