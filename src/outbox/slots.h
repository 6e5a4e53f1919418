// Slots: the latest value of each key. A newer value replaces one that still waits, so memory is
// bounded by the number of keys. The agent's own values are written again after an outage, so Redis
// is disposable. A value is replaced without an allocation if the old one left enough room. Slots
// whose keys clients choose are bounded by shares, and forgotten when there is no room for more.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "outbox/slot_shares.h"
#include "outbox/update.h"

namespace nb::outbox {

// Where a slot that is to be written waits.
enum class Lane : uint8_t {
  none,    // the slot does not wait
  alone,   // for its own turn
  paired,  // for the event that it belongs to
};

struct Slot {
  struct Wait {
    uint64_t version;
    Waiter waiter;
    bool entry_refused = false;  // of the event that the value came with
    bool message_refused = false;
  };

  uint64_t number = 0;  // a hash of db and key
  Slot* chained = nullptr;
  int db = 0;
  std::string key;
  // A key of the agent's own and not of a client's choice. There are few of them, and they go
  // first.
  bool own = false;
  SlotKind kind = SlotKind::hash;
  bool echo = false;
  bool forget = false;
  bool limited = false;
  bool shared = false;
  bool if_missing = false;  // of a shared slot: write only where the key is missing (SET NX)
  Lane lane = Lane::none;
  Duration ttl{};
  Duration renew{};
  MonoTime expires{};                      // of a string with a TTL
  MonoTime expire_sent = MonoTime::min();  // of a hash: when its TTL last went out
  MonoTime put_at{};
  std::string texts;
  size_t largest = 0;             // the most bytes of texts that there have been
  std::vector<FieldView> fields;  // into `texts`

  uint64_t version = 0;          // counts the values that were put here
  uint64_t sent_version = 0;     // the last version that was given to the link
  uint64_t stored_version = 0;   // the last version that Redis has confirmed
  uint64_t refused_version = 0;  // the last version that Redis has refused
  MonoTime stored_at{};          // when Redis last confirmed a version
  uint32_t in_flight = 0;        // how many units carry this slot
  uint32_t records = 0;          // how many records belong to this slot
  // The sequence of the last record that belongs to this slot, in each event lane.
  uint64_t last_sequence[2] = {};
  std::vector<Wait> waits;  // in the order of their versions

  Slot* previous = nullptr;  // in its lane
  Slot* next = nullptr;
  Slot* older = nullptr;  // among all slots
  Slot* newer = nullptr;
  SlotShares::Place place;  // of a limited slot

  bool dirty() const { return lane != Lane::none; }
  bool ended() const { return forget && kind == SlotKind::hash; }
  bool settled() const { return stored_version >= version || refused_version >= version; }
  bool expired(MonoTime now) const {
    return kind == SlotKind::string && ttl > Duration::zero() && now >= expires;
  }
  // The TTL to write now; 0: none.
  Duration ttl_left(MonoTime now) const;
  // Of a hash: whether the TTL goes with the value now.
  bool expire_is_due(MonoTime now) const {
    return kind == SlotKind::hash && ttl > Duration::zero() &&
           (expire_sent == MonoTime::min() || now - expire_sent >= renew);
  }
};

class Slots {
 public:
  explicit Slots(SlotLimits limits);
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;
  ~Slots();

  // Null if there is none. The slot is valid until erase().
  Slot* find(int db, std::string_view key) const;
  // Replaces the value of the key and marks the slot dirty, in the lane where it waits already or
  // else in `lane`. `old` is the result of find() for the key. For a limited slot call make_room()
  // first.
  Slot& put(Slot* old, const SlotUpdate& update, Lane lane, MonoTime now, Owner owner = 0);
  // Erases the slots that must give way to this limited update of `old`. Nothing is erased if the
  // update is not accepted. If it is, put() has to follow.
  Put make_room(Slot* old, const SlotUpdate& update, Owner owner);
  void erase(Slot& slot);
  // Counts the slot again after an answer of Redis, or when it is referred to more or less often
  // than before: perhaps the slot can be forgotten.
  void count(Slot& slot) { shares_.count(slot, size_of(slot)); }

  // The slot that has waited longest in this lane, or null. Of slots that go alone, those of the
  // agent's own come first.
  Slot* front(Lane lane) const {
    if (lane == Lane::paired) return paired_.first;
    return own_.first != nullptr ? own_.first : others_.first;
  }
  void mark_dirty(Slot& slot, Lane lane);
  void move(Slot& slot, Lane lane);  // of a dirty slot
  void take(Slot& slot) { move(slot, Lane::none); }
  // There is a new connection, and what was sent may never have arrived. All slots go once more,
  // alone, except shared slots that Redis has confirmed: others may have written those since.
  void mark_dirty_for_connection();
  // Redis may have lost everything. All slots go once more, alone; shared slots that Redis has
  // confirmed go only where the key is missing. `just_written` does not go, unless it waits anyway.
  void mark_dirty_after_loss(const Slot* just_written = nullptr);

  // Turns a string that expired before it was stored into its deletion, since an older value may
  // still be there. A string that had been stored is only forgotten.
  void expire(Slot& slot);

  // Calls visit(slot) for each slot, in the order in which the keys came up. `visit` may erase that
  // slot.
  template <class Visit>
  void for_each(Visit visit) {
    for (Slot* slot = oldest_; slot != nullptr;) visit(*std::exchange(slot, slot->newer));
  }
  // No string expires before this. put() lowers it; a caller that has looked at all slots raises
  // it.
  MonoTime next_expiry = MonoTime::max();

  size_t size() const { return count_; }
  size_t dirty_count() const { return dirty_; }
  SlotShares& shares() { return shares_; }
  const SlotShares& shares() const { return shares_; }
  // How many values are the last of their key, and wait to be stored and forgotten.
  size_t ended_count() const { return ended_; }
  uint64_t coalesced() const { return coalesced_; }

 private:
  uint64_t number_of(int db, std::string_view key) const;
  Slot*& bucket_of(uint64_t number) {
    return buckets_[static_cast<size_t>(number) & (buckets_.size() - 1)];
  }
  Slot& add(int db, std::string_view key);
  std::unique_ptr<Slot> make();
  void spread();
  struct List {
    Slot* first = nullptr;
    Slot* last = nullptr;
  };
  List& list(const Slot& slot, Lane lane) {
    return lane == Lane::paired ? paired_ : slot.own ? own_ : others_;
  }
  static void pack(Slot& slot, std::span<const FieldView> fields);
  static size_t size_of(const SlotUpdate& update);
  static size_t size_of(const Slot& slot);

  // Slots whose numbers are equal in their lowest bits are chained to each other. The number of
  // buckets is a power of two and grows with the slots. The seed is secret, so no client can make
  // long chains.
  const uint64_t seed_;
  std::vector<Slot*> buckets_;
  size_t count_ = 0;
  Slot* oldest_ = nullptr;
  Slot* newest_ = nullptr;
  List own_, others_, paired_;
  size_t dirty_ = 0;
  size_t ended_ = 0;
  uint64_t coalesced_ = 0;
  SlotShares shares_;
  std::unique_ptr<Slot> spare_;  // the last slot that was erased, with its room for texts
};

}  // namespace nb::outbox
