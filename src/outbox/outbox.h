// Outbox: everything that waits for Redis. Slots hold the latest value of a key. Events are ordered
// and bounded, and have two lanes: urgent events go first. The agent fills the outbox and the link
// empties it; the outbox knows neither.
//
// Nothing leaves the outbox before Redis has confirmed it: updates in flight are sent again when a
// connection breaks. In steady state neither filling nor emptying allocates.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/histogram.h"
#include "outbox/answers.h"
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
  uint64_t stored = 0;    // units that Redis has confirmed, at least in part
  uint64_t refused = 0;   // units of which Redis has refused a part permanently
  uint64_t expired = 0;   // messages too old to be published
  uint64_t replayed = 0;  // slots and events that were sent once more
};

// A message that is not from the log.
struct Notice {
  std::string channel;
  std::string payload;
};

// One transaction to send. The pointers stay valid until the unit is settled (stored, refused, or
// the connection lost). The slot's content stays valid until the next put of its key.
struct Unit {
  Slot* slot = nullptr;
  uint64_t slot_version = 0;
  Record* record = nullptr;
  const Notice* notice = nullptr;
  MonoTime accepted{};     // when it was put in
  Streams::Bounds stream;  // of the record's entry
  bool expire = false;     // the slot's TTL is to be set as well
  bool publish = false;    // the record's message is young enough, or there is a notice
  bool apart = false;      // each part goes by itself, not in one transaction
  EntryId id;              // of the record's entry
  bool in_doubt = false;   // the entry was sent with this id before, and not answered

  // Only if `publish`.
  MessageView message() const;
};

// A value in the outbox; valid until the next put.
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

  // Any of the three may be null. The parts that are given go in one transaction if they can leave
  // together. `waiter` is told the outcome of the update once, through on_settled: at the latest
  // when a newer value of the same key is stored.
  Put put(const SlotUpdate* slot, const EntryUpdate* entry, const MessageUpdate* message,
          MonoTime now, WallTime wall, Waiter waiter = 0, Origin origin = {});
  // Whether this owner has so much waiting here that it should wait before it puts in more.
  // on_room is called when it no longer needs to.
  bool crowded(Owner owner) const {
    return lanes_.crowded(owner) || slots_.shares().crowded(owner);
  }
  // A client and its user. When the client has gone, its updates stay, but no longer count as its
  // own. The events of all clients of one user that have gone share one turn, so a program
  // that connects a thousand times has one turn and not a thousand.
  void client_came(Owner owner, uint32_t user) { slots_.shares().client_came(owner, user); }
  void client_gone(Owner owner, uint32_t user);
  // Drops waiters that have given up waiting for a slot. Scans every slot, so call it rarely.
  void keep_waiters(bool (*waits_still)(void* user, Waiter), void* user);
  // The value of a key, if there is one here, so that a client can read what it has just written.
  // With `now`, a string that has expired is not found.
  std::optional<SlotView> find(int db, std::string_view key, MonoTime now = MonoTime::min()) const;
  // Called once for each waiter, perhaps from inside put(), next(), stored() or refused(). The
  // callback may call put().
  void set_on_settled(Delegate<void(const Settled&)> on_settled) {
    answers_.set_on_settled(on_settled);
  }
  // Called when an owner that was crowded() no longer is. The callback may call crowded() only.
  void set_on_room(Delegate<void()> on_room) { on_room_ = on_room; }
  // Called when clients have lost events, once until take_losses(). The callback must not call
  // anything here.
  void set_on_losses(Delegate<void()> on_losses) { on_losses_ = on_losses; }
  // Calls tell(owner, count) for each client that has lost events since the last call.
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

  // There is a new connection. Every slot is written again, before the events. A shared slot is
  // written again only if its value is not confirmed.
  void connection_opened();
  // Units in flight wait again.
  void connection_lost();
  // Redis has lost stored data (FLUSHALL, a restart, another server). All slots are written
  // again, shared ones only where the key is missing. The outbox notices a loss by itself when a
  // HASH of the agent's own is gone before its time. Then it calls `on_lost`, which must not call
  // anything here.
  void rewrite_all();
  void set_on_lost(Delegate<void()> on_lost) { on_lost_ = on_lost; }
  // The outbox notices one loss until this is called: a server that evicts or deletes in a loop
  // must not cause a rewrite at each write.
  void allow_rewrite() { may_rewrite_ = true; }

  // The next transaction, which is in flight from then on. False if nothing waits. Units must be
  // settled in the order in which they were given out.
  bool next(Unit& unit, MonoTime now, WallTime wall);
  // `subscribers`: how many subscribers PUBLISH reached, -1 if nothing was published. A slot that
  // was to be forgotten is gone then, so the unit's pointers are void afterwards.
  void stored(const Unit& unit, MonoTime now, int64_t subscribers = -1) {
    settled(unit, now, subscribers, {});
  }
  // The same where Redis has refused some parts for good. The refused parts are given up; a refused
  // slot waits for the next put. `existed`: the key of the unit's HASH was there before.
  void settled(const Unit& unit, MonoTime now, int64_t subscribers, const Refusals& refusals,
               bool existed = true);
  // Redis has refused the whole unit.
  void refused(const Unit& unit, std::string_view words) {
    settled(unit, MonoTime{}, -1, {words, words, words});
  }
  // When Redis has stored an entry whose id Redis has chosen: its first half, which is Redis'
  // clock.
  void entry_stored(const Unit& unit, uint64_t ms, MonoTime now);
  // The time of Redis' clock, in milliseconds since 1970. Samples show it as well, but not each
  // agent writes samples.
  void hear_clock(uint64_t ms, MonoTime now) {
    redis_ms_ = ms;
    redis_ms_at_ = now;
  }
  // As settled(), but the stream has an entry with a higher id, and does not have this one. The
  // entry goes again by another id.
  void id_refused(const Unit& unit, MonoTime now, int64_t subscribers, const Refusals& refusals,
                  bool existed = true);
  // Redis carried out nothing of this unit, because of one part of it. The unit goes once more,
  // `apart`, behind all that waits now.
  void aborted(const Unit& unit);

  // Nothing waits and nothing is in flight.
  bool drained() const;
  // Everything that waited when the connection was opened has been settled, however much has come
  // since.
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
  // The time from put() to Redis' confirmation, of updates that were not stored before.
  const Histogram& store_latency() const { return store_latency_; }
  size_t in_flight() const { return in_flight_; }

 private:
  struct Loss {
    Owner owner;
    uint64_t count;
  };

  Slot* next_alone(MonoTime now);
  void add_loss(Owner owner);
  bool take_notice(Unit& unit, WallTime wall);
  void take_slot(Unit& unit, Slot& slot, MonoTime now);
  uint64_t next_id_ms(uint64_t least_ms, MonoTime now, WallTime wall);
  void note_refusals(const Unit& unit, const Refusals& refusals);
  void settle_value(const Unit& unit, MonoTime now, const Refusals& refusals, bool existed);
  void settle_slot(const Unit& unit, Outcome outcome);
  void settle_record(const Unit& unit, int64_t subscribers, const Refusals& refusals);
  void look_for_loss(const Slot& slot, MonoTime now, bool existed);
  void settle_waits(Slot& slot, uint64_t version, Outcome outcome);
  void on_record_dropped(Record& record, bool kept);
  void let_go(Record& record);
  void maybe_forget(Slot& slot);
  void expire(Slot& slot);
  void look_for_expired(MonoTime now);
  void tell_of_room();

  OutboxOptions options_;
  Slots slots_;
  EventLanes lanes_;
  Streams streams_;
  OutboxCounters counters_;
  Histogram store_latency_;
  Answers answers_;
  Delegate<void()> on_room_;
  Delegate<void()> on_losses_;
  Delegate<void()> on_lost_;
  std::vector<Loss> losses_;

  // The notice of a loss on its way to Redis.
  std::optional<Notice> notice_;
  Gap told_gap_;
  bool notice_in_flight_ = false;

  // Redis' clock, as it was last read. 0: not known yet.
  uint64_t redis_ms_ = 0;
  MonoTime redis_ms_at_{};
  uint64_t last_id_ms_ = 0;    // by that clock
  uint64_t last_wall_ms_ = 0;  // before that clock was known
  uint32_t last_number_ = 0;

  MonoTime looked_for_expired_{};
  size_t in_flight_ = 0;
  size_t backlog_ = 0;  // at most so many units are left of those at the connection's opening
  unsigned events_in_a_row_ = 0;
  bool connected_ = false;
  bool may_rewrite_ = true;
  bool replaying_ = false;  // slots go first until each has gone once
};

}  // namespace nb::outbox
