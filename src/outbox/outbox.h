// Outbox: all that waits for Redis: slots (latest value wins) and events (ordered, bounded), which
// have two lanes: what is urgent goes first. It is filled by the agent and emptied by the link, and
// knows neither.
//
// Nothing leaves it before Redis has confirmed it: what was in flight when a connection died is
// sent again. In steady state neither filling nor emptying allocates.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/histogram.h"
#include "outbox/event_lanes.h"
#include "outbox/slots.h"
#include "outbox/streams.h"

namespace nb::outbox {

struct OutboxOptions {
  std::string node_id;
  std::string instance_id;
  EventLogLimits event_limits;
  SlotLimits slot_limits;
};

struct OutboxCounters {
  uint64_t accepted = 0;  // updates that put() took
  uint64_t stored = 0;    // units that Redis has confirmed, be it in part
  uint64_t refused = 0;   // units of which Redis has refused something for good
  uint64_t expired = 0;   // messages too old to be published
  uint64_t replayed = 0;  // slots and events that were sent once more
};

// A message that is not from the log.
struct Notice {
  std::string channel;
  std::string payload;
};

// One transaction to send. The pointers stay valid until it is settled (stored, refused, or the
// connection lost), the slot's content until its next put.
struct Unit {
  Slot* slot = nullptr;
  uint64_t slot_version = 0;
  Record* record = nullptr;
  const Notice* notice = nullptr;
  MonoTime accepted{};     // when it was put in
  Streams::Bounds stream;  // of the record's entry
  bool expire = false;     // the slot's TTL is to be set, too
  bool publish = false;    // the record's message is still young enough, or there is a notice
  bool apart = false;      // each part for itself, not in one transaction

  // Only if `publish`.
  MessageView message() const;
};

// A value as it stands in the outbox; valid until the next put.
struct SlotView {
  SlotKind kind;
  std::span<const FieldView> fields;  // none of a `remove`
  bool stored;                        // Redis has confirmed it
  size_t largest;                     // bytes of the largest value that was put under this key
};

class Outbox {
 public:
  explicit Outbox(OutboxOptions options);
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  // --- filling ---

  // Any of the three may be null; what is given belongs to one transaction if it can leave
  // together. `waiter` hears once, through on_settled, what became of it: at the latest when a
  // newer value of the same key is stored.
  Put put(const SlotUpdate* slot, const EntryUpdate* entry, const MessageUpdate* message,
          MonoTime now, WallTime wall, Waiter waiter = 0, Origin origin = {});
  // Whether this owner has so much waiting here that it had better wait before it puts in more;
  // on_room tells when it need not wait any longer.
  bool crowded(Owner owner) const {
    return lanes_.crowded(owner) || slots_.shares().crowded(owner);
  }
  // A client and its user; what it has put in when it is gone stays, and is no longer its own. Its
  // events take turns with those of others of the same user who have gone: whoever comes and goes a
  // thousand times has one turn, not a thousand.
  void client_came(Owner owner, uint32_t user) { slots_.shares().client_came(owner, user); }
  void client_gone(Owner owner, uint32_t user);
  // Forgets who has given up waiting for a slot. It looks at all: for once in a while.
  void keep_waiters(bool (*waits_still)(void* user, Waiter), void* user);
  // The value of a key, if there is one here: to read what was just written. With `now` a string
  // whose time is over is not seen.
  std::optional<SlotView> find(int db, std::string_view key, MonoTime now = MonoTime::min()) const;
  // Called for each waiter exactly once, perhaps from inside put(), next(), stored() or refused();
  // it may call put() itself.
  void set_on_settled(Delegate<void(const Settled&)> on_settled) { on_settled_ = on_settled; }
  // Called when an owner that was crowded() is not any longer. It may call crowded() only.
  void set_on_room(Delegate<void()> on_room) { on_room_ = on_room; }
  // Called when clients have lost events, once until take_losses(). It must not call anything here.
  void set_on_losses(Delegate<void()> on_losses) { on_losses_ = on_losses; }
  // Calls tell(owner, count) for each client that has lost events since the last time.
  template <class Tell>
  void take_losses(Tell tell) {
    for (const Loss& loss : std::exchange(losses_, {})) tell(loss.owner, loss.count);
  }

  // --- the journal ---

  // Before the first event. The journal must outlive the outbox.
  void attach(Journal& journal) { lanes_.attach(journal); }
  // Takes an event again that the journal has kept, with the sequence that it had. False if there
  // is no room now: then the journal tries again later, and goes on behind it only then.
  bool put_back(uint64_t sequence, const EntryUpdate* entry, const MessageUpdate* message,
                MonoTime now, WallTime wall, Waiter waiter = 0, Origin origin = {});

  // --- emptying ---

  // A new connection: every slot is to be written again, slots before events; but shared ones only
  // if they are not confirmed.
  void connection_opened();
  // What was in flight waits again.
  void connection_lost();
  // Redis has lost what was stored (FLUSHALL, a restart, another server): write all slots again,
  // shared ones where the key is missing. The outbox finds out by itself when a HASH of the agent's
  // own is gone before its time; then it calls `on_lost`, which must not call anything here.
  void rewrite_all();
  void set_on_lost(Delegate<void()> on_lost) { on_lost_ = on_lost; }
  // It finds out once, until this is called: a server that evicts or deletes in a loop must not
  // cause a rewrite at each write.
  void allow_rewrite() { may_rewrite_ = true; }

  // The next transaction, which is then in flight; false if nothing waits. Settle in this order.
  bool next(Unit& unit, MonoTime now, WallTime wall);
  // `subscribers`: how many PUBLISH reached, -1 if nothing was published. Forgets a slot that was
  // to be forgotten: the unit's pointers are void afterwards.
  void stored(const Unit& unit, MonoTime now, int64_t subscribers = -1) {
    settled(unit, now, subscribers, {});
  }
  // The same where Redis said no to some parts in a way that will not change: these are given up,
  // and a slot among them waits for the next put. `existed`: the key of the unit's HASH was there
  // before.
  void settled(const Unit& unit, MonoTime now, int64_t subscribers, const Refusals& refusals,
               bool existed = true);
  // All of it was refused.
  void refused(const Unit& unit, std::string_view words) {
    settled(unit, MonoTime{}, -1, {words, words, words});
  }
  // Redis carried out nothing of this unit because of one part of it. The unit goes once more,
  // `apart`, behind what waits now.
  void aborted(const Unit& unit);

  // Nothing waits and nothing is in flight.
  bool drained() const;
  // What there was when the connection was opened has been settled, however much has come since.
  bool caught_up() const { return backlog_ == 0 || drained(); }

  // --- limits and figures ---

  void set_event_limits(EventLogLimits limits) { lanes_.set_limits(limits); }
  void set_slot_limits(SlotLimits limits) { slots_.shares().set_limits(limits); }
  const SlotLimits& slot_limits() const { return slots_.shares().limits(); }
  const Slots& slots() const { return slots_; }
  const EventLanes& lanes() const { return lanes_; }
  const EventLog& events() const { return lanes_.events(); }
  const EventLog& urgent_events() const { return lanes_.urgent(); }
  const OutboxCounters& counters() const { return counters_; }
  // From put() to Redis' confirmation, of what was not stored before.
  const Histogram& store_latency() const { return store_latency_; }
  size_t in_flight() const { return in_flight_; }

 private:
  struct Answer {
    Waiter waiter;
    Outcome outcome;
    int64_t subscribers;
    bool entry_refused;
    bool message_refused;
  };
  struct Loss {
    Owner owner;
    uint64_t count;
  };

  Slot* next_alone(MonoTime now);
  void add_loss(Owner owner);
  bool take_notice(Unit& unit, WallTime wall);
  void take_slot(Unit& unit, Slot& slot, MonoTime now);
  void settle_slot(const Unit& unit, Outcome outcome);
  void settle_record(const Unit& unit, int64_t subscribers, const Refusals& refusals);
  void look_for_loss(const Slot& slot, MonoTime now, bool existed);
  void settle_waits(Slot& slot, uint64_t version, Outcome outcome);
  void on_record_dropped(Record& record, bool kept);
  void let_go(Record& record);
  void maybe_forget(Slot& slot);
  void expire(Slot& slot);
  void look_for_expired(MonoTime now);
  void answer(Waiter waiter, Outcome outcome);
  void deliver();
  void tell_of_room();

  OutboxOptions options_;
  Slots slots_;
  EventLanes lanes_;
  Streams streams_;
  OutboxCounters counters_;
  Histogram store_latency_;
  Delegate<void(const Settled&)> on_settled_;
  Delegate<void()> on_room_;
  Delegate<void()> on_losses_;
  Delegate<void()> on_lost_;
  std::vector<Loss> losses_;

  std::vector<Answer> answers_;  // to be given once the state is consistent
  bool delivering_ = false;
  std::string refusal_;  // the last

  // What was lost, on its way to be told.
  std::optional<Notice> notice_;
  Gap told_gap_;
  bool notice_in_flight_ = false;

  MonoTime looked_for_expired_{};
  size_t in_flight_ = 0;
  size_t backlog_ = 0;  // units at most that were there when the connection was opened
  unsigned events_in_a_row_ = 0;
  bool connected_ = false;
  bool may_rewrite_ = true;
  bool replaying_ = false;  // slots go first until all have gone once
};

}  // namespace nb::outbox
