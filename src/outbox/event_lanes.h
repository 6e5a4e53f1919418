// EventLanes: the log of events. It has two lanes with limits of their own: urgent events go first.
// Both lanes share one sequence, which names each event permanently, and one journal, if there is
// one.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "outbox/event_log.h"
#include "outbox/journal.h"

namespace nb::outbox {

class EventLanes {
 public:
  // `instance` must outlive this object. `on_dropped` is called with each record that goes unsent,
  // while the record is still valid, and whether the journal keeps the event.
  EventLanes(EventLogLimits limits, std::string_view instance,
             Delegate<void(Record&, bool)> on_dropped);
  EventLanes(const EventLanes&) = delete;
  EventLanes& operator=(const EventLanes&) = delete;

  // Before the first event. The journal must outlive this object.
  void attach(Journal& journal);
  EventId id(const Record& record) const { return {instance_, record.sequence}; }

  const EventLog& events() const { return events_; }
  const EventLog& urgent() const { return urgent_; }
  size_t size() const { return events_.size() + urgent_.size(); }
  uint64_t dropped() const { return events_.dropped() + urgent_.dropped(); }
  uint64_t dropped_old() const { return events_.dropped_old() + urgent_.dropped_old(); }
  WallTime last_dropped() const { return std::max(events_.last_dropped(), urgent_.last_dropped()); }
  void set_limits(EventLogLimits limits);
  size_t share(bool urgent) const { return events_.limits().share(urgent); }

  // As EventLog::push(). Only an event that is taken gets a sequence.
  Record* push(Origin origin, const EntryUpdate* entry, const MessageUpdate* message, MonoTime now,
               WallTime wall);
  // Takes an event that the journal has kept, with the sequence that it had. Null if there is no
  // room: nothing is counted as lost then.
  Record* put_back(uint64_t sequence, Origin origin, const EntryUpdate* entry,
                   const MessageUpdate* message, MonoTime now, WallTime wall);
  void drop_old(MonoTime now);

  // The next record by the turns, or null. Urgent events go first, but let the others have their
  // turn. A record never goes ahead of an earlier record in the other lane for the same value:
  // first a session's progress, then its end.
  Record* next();
  void mark_sent(Record& record) { lane(record).mark_sent(record); }
  // The oldest sent record of its lane has been answered. The record is gone then.
  void pop_sent(Record& record);
  // Redis carried out nothing of the oldest sent record of its lane: it waits behind the others.
  void send_again(Record& record) { lane(record).send_again(); }
  // Sent records are in doubt: they will be sent again.
  void unsend();
  // The owner puts in no more: its unsent records become the heir's, and go in the heir's turns.
  void leave(Owner owner, Owner heir);
  bool crowded(Owner owner) const { return events_.crowded(owner) || urgent_.crowded(owner); }
  // Whether an owner is no longer crowded since the last call.
  bool take_relief();

  bool has_gap() const { return events_.has_gap() || urgent_.has_gap(); }
  Gap take_gap();
  void put_back(const Gap& gap) { events_.put_back(gap); }

 private:
  EventLog& lane(bool urgent) { return urgent ? urgent_ : events_; }
  EventLog& lane(const Record& record) { return lane(record.urgent); }
  bool on_dropped(Record& record);
  void confirm(uint64_t sequence);

  // With a journal only.
  struct Kept {
    Journal& journal;
    Confirmed confirmed;
  };

  std::string_view instance_;
  Delegate<void(Record&, bool)> on_dropped_;
  EventLog events_;
  EventLog urgent_;
  uint64_t last_sequence_ = 0;
  unsigned urgent_in_a_row_ = 0;
  MonoTime looked_for_old_{};
  std::unique_ptr<Kept> kept_;
};

}  // namespace nb::outbox
