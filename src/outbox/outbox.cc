#include "outbox/outbox.h"

#include "wire/keys.h"
#include "wire/node_events.h"

namespace nb::outbox {

Outbox::Outbox(OutboxOptions options)
    : options_(std::move(options)), events_(options_.event_limits) {}

void Outbox::put(SlotWrite write) {
  slots_.put(std::move(write));
}

void Outbox::put(SlotWrite write, Event event, MonoTime now, WallTime wall) {
  Slot& slot = slots_.put(std::move(write));
  report_gap(now, wall);
  events_.push({std::move(event), &slot, now, wall});
}

void Outbox::post(Event event, MonoTime now, WallTime wall) {
  report_gap(now, wall);
  events_.push({std::move(event), nullptr, now, wall});
}

// What was lost is said before the first event that comes after the loss.
void Outbox::report_gap(MonoTime now, WallTime wall) {
  events_.drop_old(now);
  if (!events_.has_gap()) return;
  const Gap gap = events_.take_gap();
  Event event;
  event.message = Message{wire::node_events_channel(options_.node_id),
                          wire::events_lost_event({options_.node_id, options_.instance_id, wall},
                                                  gap.count, gap.first, gap.last),
                          Duration::max()};
  events_.push({std::move(event), nullptr, now, wall});
}

void Outbox::connection_opened() {
  connection_lost();
  slots_.mark_all_dirty();
  events_.forget_slots();
  replaying_ = slots_.peek_dirty() != nullptr;
}

void Outbox::connection_lost() {
  events_.unsend();
  in_flight_ = 0;
}

bool Outbox::next(Unit& unit, MonoTime now) {
  unit = {};
  Slot* slot = slots_.peek_dirty();
  if (slot == nullptr) replaying_ = false;
  if (slot == nullptr || !replaying_) {
    events_.drop_old(now);
    if (Record* record = events_.peek_unsent()) {
      unit.record = record;
      const auto& message = record->event.message;
      unit.publish =
          message && (message->max_age == Duration::max() || now - record->at <= message->max_age);
      slot = record->slot != nullptr && record->slot->dirty ? record->slot : nullptr;
      events_.mark_sent();
    }
  }
  if (unit.record == nullptr && slot == nullptr) return false;
  if (slot != nullptr) {
    unit.slot = slot;
    unit.slot_version = slot->version;
    slots_.take(*slot);
  }
  ++in_flight_;
  return true;
}

void Outbox::settle(const Unit& unit) {
  --in_flight_;
  if (unit.record == nullptr) return;
  if (unit.record->event.message && !unit.publish) ++counters_.expired;
  events_.pop_sent();
}

void Outbox::stored(const Unit& unit) {
  ++counters_.stored;
  if (unit.slot != nullptr) unit.slot->stored_version = unit.slot_version;
  settle(unit);
}

void Outbox::refused(const Unit& unit) {
  ++counters_.refused;
  settle(unit);
}

bool Outbox::drained() {
  return in_flight_ == 0 && slots_.peek_dirty() == nullptr && events_.size() == 0;
}

}  // namespace nb::outbox
