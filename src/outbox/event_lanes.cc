#include "outbox/event_lanes.h"

#include <cassert>

namespace nb::outbox {
namespace {

// After so many urgent events an event of the other lane has its turn.
constexpr unsigned kUrgentInARow = 16;

}  // namespace

EventLanes::EventLanes(EventLogLimits limits, std::string_view instance,
                       Delegate<void(Record&, bool)> on_dropped)
    : instance_(instance),
      on_dropped_(on_dropped),
      events_(limits, false, Delegate<bool(Record&)>::to<&EventLanes::on_dropped>(this)),
      urgent_(limits, true, Delegate<bool(Record&)>::to<&EventLanes::on_dropped>(this)) {}

void EventLanes::attach(Journal& journal) {
  assert(last_sequence_ == 0);
  const Journal::Start start = journal.start();
  kept_.reset(new Kept{journal, Confirmed(start.confirmed)});
  instance_ = start.last.instance;
  last_sequence_ = start.last.sequence;
}

void EventLanes::set_limits(EventLogLimits limits) {
  events_.set_limits(limits);
  urgent_.set_limits(limits);
}

Record* EventLanes::push(Origin origin, const EntryUpdate* entry, const MessageUpdate* message,
                         MonoTime now, WallTime wall) {
  drop_old(now);
  Record* record = lane(origin.urgent).push(origin, last_sequence_ + 1, entry, message, now, wall);
  if (record == nullptr) return nullptr;
  ++last_sequence_;
  if (kept_) kept_->journal.append(*record);
  return record;
}

Record* EventLanes::put_back(uint64_t sequence, Origin origin, const EntryUpdate* entry,
                             const MessageUpdate* message, MonoTime now, WallTime wall) {
  EventLog& lane = this->lane(origin.urgent);
  if (!lane.has_room(origin, EventLog::size_of(entry, message))) return nullptr;
  return lane.push(origin, sequence, entry, message, now, wall);
}

// Ages are minutes, so one check in a millisecond is enough. Each put() and each next() asks for
// it.
void EventLanes::drop_old(MonoTime now) {
  if (now - looked_for_old_ < std::chrono::milliseconds(1)) return;
  looked_for_old_ = now;
  events_.drop_old(now);
  urgent_.drop_old(now);
}

Record* EventLanes::next() {
  // Records in doubt go in the order in which they were sent first. So no record goes ahead of one
  // that it has to follow.
  Record* const doubtful = events_.first_in_doubt();
  Record* const urgent_doubtful = urgent_.first_in_doubt();
  if (doubtful != nullptr || urgent_doubtful != nullptr) {
    if (urgent_doubtful == nullptr) return doubtful;
    if (doubtful == nullptr) return urgent_doubtful;
    return doubtful->number < urgent_doubtful->number ? doubtful : urgent_doubtful;
  }
  const auto may_go = [](const Record* record, const EventLog& other) {
    if (record == nullptr) return false;
    const Record* before = other.first_unsent();
    return before == nullptr || before->sequence > record->behind;
  };
  // The oldest of one lane may always go, so the lanes never wait for each other.
  const auto next_of = [&](EventLog& lane, const EventLog& other) -> Record* {
    Record* next = lane.next_to_send();
    if (next != nullptr && !may_go(next, other)) next = lane.first_unsent();
    return may_go(next, other) ? next : nullptr;
  };
  Record* urgent = next_of(urgent_, events_);
  Record* event = next_of(events_, urgent_);
  if (urgent == nullptr || (event != nullptr && urgent_in_a_row_ >= kUrgentInARow)) {
    urgent_in_a_row_ = 0;
    return event;
  }
  ++urgent_in_a_row_;
  return urgent;
}

void EventLanes::pop_sent(Record& record) {
  const uint64_t sequence = record.sequence;
  lane(record).pop_sent();
  confirm(sequence);
}

void EventLanes::unsend() {
  events_.unsend();
  urgent_.unsend();
}

void EventLanes::leave(Owner owner, Owner heir) {
  events_.leave(owner, heir);
  urgent_.leave(owner, heir);
}

bool EventLanes::take_relief() {
  const bool events = events_.take_relief();
  return urgent_.take_relief() || events;
}

Gap EventLanes::take_gap() {
  Gap gap = events_.take_gap();
  gap.add(urgent_.take_gap());
  return gap;
}

bool EventLanes::on_dropped(Record& record) {
  const bool kept = kept_ && kept_->journal.keep_dropped(record);
  on_dropped_(record, kept);
  if (!kept) confirm(record.sequence);
  return kept;
}

void EventLanes::confirm(uint64_t sequence) {
  if (kept_ && kept_->confirmed.add(sequence)) kept_->journal.confirm(kept_->confirmed.up_to());
}

}  // namespace nb::outbox
