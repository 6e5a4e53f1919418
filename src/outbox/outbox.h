// Outbox: all that waits for Redis, in two lanes: slots (latest value wins) and the event log
// (ordered, bounded). It is filled by the agent and emptied by the link, and knows neither.
//
// Nothing leaves it before Redis has confirmed it: what was in flight when a connection died is
// sent again.
#pragma once

#include <string>

#include "outbox/event_log.h"
#include "outbox/slots.h"

namespace nb::outbox {

struct OutboxOptions {
  std::string node_id;
  std::string instance_id;
  EventLogLimits event_limits;
};

struct OutboxCounters {
  uint64_t stored = 0;   // units that Redis has confirmed
  uint64_t refused = 0;  // units that Redis answered with an error and that were given up
  uint64_t expired = 0;  // messages too old to be published
};

// One transaction to send. The pointers stay valid until it is settled (stored, refused, or the
// connection lost).
struct Unit {
  Slot* slot = nullptr;
  uint64_t slot_version = 0;
  Record* record = nullptr;
  bool publish = false;  // the record's message is still young enough
};

class Outbox {
 public:
  explicit Outbox(OutboxOptions options);

  // Filling. `put` with an event makes the two one transaction if they can leave together.
  void put(SlotWrite write);
  void put(SlotWrite write, Event event, MonoTime now, WallTime wall);
  void post(Event event, MonoTime now, WallTime wall);

  // A new connection: every slot is to be written again, slots before events.
  void connection_opened();
  // What was in flight waits again.
  void connection_lost();
  // Redis has lost keys under a living connection (FLUSHALL): write all slots again.
  void rewrite_all() { slots_.mark_all_dirty(); }

  // The next transaction, which is then in flight; false if nothing waits. Settle in this order.
  bool next(Unit& unit, MonoTime now);
  void stored(const Unit& unit);
  // Redis said no to this unit in a way that will not change: its event is given up, its slot
  // waits for the next put.
  void refused(const Unit& unit);

  // Nothing waits and nothing is in flight.
  bool drained();
  void set_event_limits(EventLogLimits limits) { events_.set_limits(limits); }

  const Slots& slots() const { return slots_; }
  const EventLog& events() const { return events_; }
  const OutboxCounters& counters() const { return counters_; }
  size_t in_flight() const { return in_flight_; }

 private:
  void settle(const Unit& unit);
  void report_gap(MonoTime now, WallTime wall);

  OutboxOptions options_;
  Slots slots_;
  EventLog events_;
  OutboxCounters counters_;
  size_t in_flight_ = 0;
  bool replaying_ = false;  // slots go first until all have gone once
};

}  // namespace nb::outbox
