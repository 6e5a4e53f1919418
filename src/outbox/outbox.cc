#include "outbox/outbox.h"

#include <algorithm>
#include <utility>

#include "wire/keys.h"
#include "wire/node_events.h"

namespace nb::outbox {
namespace {

// After this many events a slot that waits alone has its turn, so a flood cannot starve the slot.
constexpr unsigned kEventsInARow = 16;

}  // namespace

MessageView Unit::message() const {
  if (notice != nullptr) return {notice->channel, notice->payload};
  return record->message();
}

Outbox::Outbox(OutboxOptions options)
    : options_(std::move(options)),
      slots_(options_.slot_limits),
      lanes_(options_.event_limits, options_.instance_id,
             Delegate<void(Record&, bool)>::to<&Outbox::on_record_dropped>(this)) {}

// --- filling ---

Put Outbox::put(const SlotUpdate* slot_update, const EntryUpdate* entry,
                const MessageUpdate* message, MonoTime now, WallTime wall, Waiter waiter,
                Origin origin) {
  const bool has_event = entry != nullptr || message != nullptr;
  if (has_event && EventLog::size_of(entry, message) > lanes_.share(origin.urgent)) {
    return Put::too_large;
  }
  look_for_expired(now);
  answers_.give();
  Slot* slot = slot_update != nullptr ? slots_.find(slot_update->db, slot_update->key) : nullptr;
  if (slot_update != nullptr && slot_update->limited) {
    const Put put = slots_.make_room(slot, *slot_update, origin.owner);
    if (put != Put::accepted) return put;
  }
  ++counters_.accepted;
  if (slot_update != nullptr) {
    // Without a connection the update will be replayed: slots go first then.
    const bool pair = has_event && connected_ && !replaying_;
    slot = &slots_.put(slot, *slot_update, pair ? Lane::paired : Lane::alone, now, origin.owner);
    if (pair && slot->lane == Lane::alone) slots_.move(*slot, Lane::paired);
  }
  if (has_event) {
    if (Record* record = lanes_.push(origin, entry, message, now, wall)) {
      record->waiter = waiter;
      record->slot = slot;
      if (slot != nullptr) {
        record->slot_version = slot->version;
        record->behind = slot->last_sequence[!origin.urgent];
        slot->last_sequence[origin.urgent] = record->sequence;
        ++slot->records;
        slots_.count(*slot);
      }
    } else {
      add_loss(origin.owner);
      answers_.add(waiter, Outcome::dropped);
      if (slot != nullptr && slot->records == 0) slots_.move(*slot, Lane::alone);
    }
  } else if (slot != nullptr) {
    if (waiter != 0) slot->waits.push_back({slot->version, waiter});
  } else {
    answers_.add(waiter, Outcome::stored);
  }
  tell_of_room();
  answers_.give();
  return Put::accepted;
}

bool Outbox::put_back(uint64_t sequence, const EntryUpdate* entry, const MessageUpdate* message,
                      MonoTime now, WallTime wall, Waiter waiter, Origin origin) {
  Record* record = lanes_.put_back(sequence, origin, entry, message, now, wall);
  if (record != nullptr) record->waiter = waiter;
  return record != nullptr;
}

void Outbox::client_gone(Owner owner, uint32_t user) {
  slots_.shares().client_gone(owner);
  // No client has so high a number.
  constexpr Owner kHeirs = Owner{1} << 63;
  lanes_.leave(owner, kHeirs | user);
}

void Outbox::keep_waiters(bool (*waits_still)(void* user, Waiter), void* user) {
  slots_.for_each([&](Slot& slot) {
    std::vector<Slot::Wait> kept;
    for (const Slot::Wait& wait : slot.waits) {
      if (waits_still(user, wait.waiter)) kept.push_back(wait);
    }
    slot.waits.swap(kept);
  });
}

std::optional<SlotView> Outbox::find(int db, std::string_view key, MonoTime now) const {
  const Slot* slot = slots_.find(db, key);
  if (slot == nullptr) return std::nullopt;
  const bool stored = slot->stored_version >= slot->version;
  // Redis refused this value for good, so the value in Redis counts.
  if (!stored && slot->settled()) return std::nullopt;
  if (slot->expired(now)) {
    if (stored) return std::nullopt;
    return SlotView{SlotKind::remove, {}, false, slot->largest};
  }
  return SlotView{slot->kind, slot->fields, stored, slot->largest};
}

// --- emptying ---

void Outbox::connection_opened() {
  connection_lost();
  connected_ = true;
  slots_.mark_dirty_for_connection();
  streams_.forget_all();
  replaying_ = slots_.front(Lane::alone) != nullptr;
  backlog_ = slots_.dirty_count() + lanes_.size();
}

void Outbox::connection_lost() {
  connected_ = false;
  lanes_.unsend();
  if (notice_in_flight_) {
    lanes_.put_back(std::exchange(told_gap_, {}));
    notice_in_flight_ = false;
  }
  if (std::exchange(in_flight_, 0) == 0) return;
  slots_.for_each([this](Slot& slot) {
    if (std::exchange(slot.in_flight, 0) == 0) return;
    slots_.count(slot);
    if (slot.settled() && !slot.if_missing) return maybe_forget(slot);
    slots_.mark_dirty(slot, Lane::alone);
  });
}

// The first slot that waits alone. Strings that have expired meanwhile are settled first.
Slot* Outbox::next_alone(MonoTime now) {
  while (Slot* slot = slots_.front(Lane::alone)) {
    if (!slot->expired(now)) return slot;
    const bool was_stored = slot->stored_version >= slot->version;
    expire(*slot);
    if (!was_stored) return slot;
    slots_.take(*slot);
    maybe_forget(*slot);
  }
  return nullptr;
}

bool Outbox::next(Unit& unit, MonoTime now, WallTime wall) {
  unit = {};
  Slot* slot = next_alone(now);
  if (slot == nullptr) replaying_ = false;
  if (!replaying_) {
    lanes_.drop_old(now);
    // A slot of the agent's own goes at once. It comes once a turn at most, however often its
    // value changes.
    const bool slots_turn = slot != nullptr && (slot->own || events_in_a_row_ >= kEventsInARow);
    Record* record = slots_turn ? nullptr : lanes_.next();
    // The notice of a loss goes before the first event that came after the loss.
    if (!slots_turn && take_notice(unit, wall)) {
      slot = nullptr;
    } else if (record != nullptr) {
      unit.record = record;
      unit.accepted = record->at;
      unit.apart = record->apart;
      unit.publish = record->has_message && !record->published &&
                     (record->max_age == Duration::max() || now - record->at <= record->max_age);
      if (record->has_entry) {
        unit.stream = streams_.next(record->db, record->entry().stream, record->entry_bytes(),
                                    record->max_length, record->max_bytes, record->ttl, now);
        unit.in_doubt = record->id().is_given();
        if (!unit.in_doubt && !record->sample && !record->any_id) {
          record->id_ms = next_id_ms(unit.stream.least_ms, now, wall);
        }
      }
      if (record->number == 0) {
        last_number_ = std::max(last_number_ + 1, 1u);  // 0 means not sent yet
        record->number = last_number_;
      }
      unit.id = record->id();
      counters_.replayed += record->was_sent;
      lanes_.mark_sent(*record);
      ++events_in_a_row_;
      slot = record->slot != nullptr && record->slot->dirty() ? record->slot : nullptr;
    } else {
      events_in_a_row_ = 0;
      if (slot == nullptr) slot = slots_.front(Lane::paired);
    }
  }
  const bool any = unit.record != nullptr || unit.notice != nullptr || slot != nullptr;
  if (any) {
    if (slot != nullptr) take_slot(unit, *slot, now);
    ++in_flight_;
  }
  tell_of_room();
  answers_.give();
  return any;
}

// Ids only grow, also when a clock is set back: Redis takes no entry with an id below that of the
// stream's last one. So an entry that is sent once more is not stored twice, whether or not the
// first one arrived, and even if it arrives late from a connection that was given up.
uint64_t Outbox::next_id_ms(uint64_t least_ms, MonoTime now, WallTime wall) {
  const auto ms = [](auto since) {
    return static_cast<uint64_t>(
        std::max<int64_t>(std::chrono::floor<std::chrono::milliseconds>(since).count(), 1));
  };
  const bool is_known = redis_ms_ > 0;
  const uint64_t clock =
      is_known ? redis_ms_ + ms(now - redis_ms_at_) : ms(wall.time_since_epoch());
  // Until Redis' clock is known, ids go by this computer's own. If that is a little ahead, ids stay
  // ahead for as long, or Redis would refuse the next ones. It may also be a year ahead: then it
  // spoils no later ids.
  constexpr uint64_t kLittleMs = 60'000;
  if (is_known && last_wall_ms_ <= clock + kLittleMs)
    last_id_ms_ = std::max(last_id_ms_, last_wall_ms_);
  uint64_t& last = is_known ? last_id_ms_ : last_wall_ms_;
  last = std::max(clock, last);
  return std::max(last, least_ms);
}

void Outbox::entry_stored(const Unit& unit, uint64_t ms, MonoTime now) {
  const Record& record = *unit.record;
  if (!record.has_entry || unit.id.is_given()) return;
  // The id is at least Redis' clock, and more where the stream has come further. A row of samples
  // is written by Redis' ids only, so its ids are the clock.
  if (record.sample) {
    hear_clock(ms, now);
  } else {
    streams_.stored(record.db, record.entry().stream, ms);
  }
}

bool Outbox::take_notice(Unit& unit, WallTime wall) {
  if (!lanes_.has_gap() || notice_in_flight_) return false;
  told_gap_ = lanes_.take_gap();
  notice_ = Notice{wire::node_events_channel(options_.node_id),
                   wire::events_lost_event({options_.node_id, options_.instance_id, wall},
                                           told_gap_.count, told_gap_.first, told_gap_.last)};
  notice_in_flight_ = true;
  unit.notice = &*notice_;
  unit.publish = true;
  return true;
}

void Outbox::take_slot(Unit& unit, Slot& slot, MonoTime now) {
  if (slot.expired(now)) expire(slot);
  unit.slot = &slot;
  unit.slot_version = slot.version;
  unit.expire = slot.expire_is_due(now);
  if (unit.expire) slot.expire_sent = now;
  if (unit.record == nullptr) unit.accepted = slot.put_at;
  counters_.replayed += slot.sent_version >= slot.version;
  slot.sent_version = slot.version;
  ++slot.in_flight;
  slots_.take(slot);
  slots_.count(slot);
}

void Outbox::settled(const Unit& unit, MonoTime now, int64_t subscribers, const Refusals& refusals,
                     bool existed) {
  const bool value = unit.slot != nullptr && refusals.value.empty();
  const bool entry = unit.record != nullptr && unit.record->has_entry && refusals.entry.empty();
  const bool message = unit.publish && refusals.message.empty();
  note_refusals(unit, refusals);
  if (value || entry || message || !refusals.any()) ++counters_.stored;
  const bool news = value && unit.slot->stored_version < unit.slot_version;
  if (unit.notice == nullptr && (entry || message || news)) {
    store_latency_.record(now - unit.accepted);
  }
  if (unit.record != nullptr && unit.record->has_message && !unit.publish &&
      !unit.record->published) {
    ++counters_.expired;
  }
  settle_value(unit, now, refusals, existed);
  settle_record(unit, message ? subscribers : -1, refusals);
  if (unit.notice != nullptr) {
    notice_in_flight_ = false;
    notice_.reset();
  }
  --in_flight_;
  if (backlog_ > 0) --backlog_;
  tell_of_room();
  answers_.give();
}

void Outbox::note_refusals(const Unit& unit, const Refusals& refusals) {
  if (!refusals.any()) return;
  if (unit.slot != nullptr) unit.slot->expire_sent = MonoTime::min();
  streams_.forget_all();
  ++counters_.refused;
  answers_.set_refusal(refusals.words());
}

void Outbox::id_refused(const Unit& unit, MonoTime now, int64_t subscribers,
                        const Refusals& refusals, bool existed) {
  note_refusals(unit, refusals);
  settle_value(unit, now, refusals, existed);
  Record& record = *unit.record;
  if (unit.publish && refusals.message.empty()) {
    record.published = true;
    record.subscribers = static_cast<int32_t>(subscribers);
  }
  // A later id may have overtaken an id that was given before. If a new id is refused, this agent
  // does not know how far the stream's ids have come; Redis does.
  record.any_id = !unit.in_doubt;
  record.forget_id();
  lanes_.send_again(record);
  --in_flight_;
  answers_.give();
}

void Outbox::aborted(const Unit& unit) {
  if (unit.slot != nullptr) {
    --unit.slot->in_flight;
    slots_.count(*unit.slot);
    slots_.mark_dirty(*unit.slot, unit.record != nullptr && unit.record->slot == unit.slot
                                      ? Lane::paired
                                      : Lane::alone);
  }
  if (unit.slot != nullptr) unit.slot->expire_sent = MonoTime::min();
  streams_.forget_all();
  if (unit.record != nullptr) {
    unit.record->apart = true;
    // Nothing was carried out. A doubt from before stays.
    if (!unit.in_doubt) unit.record->forget_id();
    lanes_.send_again(*unit.record);
  }
  --in_flight_;
}

void Outbox::rewrite_all() {
  slots_.mark_dirty_after_loss();
  streams_.forget_all();
}

// A stored HASH of the agent's own is gone before its time. No other program deletes it, so Redis
// has lost data.
void Outbox::look_for_loss(const Slot& slot, MonoTime now, bool existed) {
  if (existed || slot.kind != SlotKind::hash || slot.shared || slot.stored_version == 0) return;
  if (slot.ttl > Duration::zero() && now - slot.stored_at >= slot.ttl) return;
  if (!std::exchange(may_rewrite_, false)) return;
  slots_.mark_dirty_after_loss(&slot);
  streams_.forget_all();
  if (on_lost_) on_lost_();
}

void Outbox::settle_value(const Unit& unit, MonoTime now, const Refusals& refusals, bool existed) {
  if (unit.slot == nullptr) return;
  if (refusals.value.empty()) {
    look_for_loss(*unit.slot, now, existed);
    unit.slot->stored_at = now;
  }
  settle_slot(unit, refusals.value.empty() ? Outcome::stored : Outcome::refused);
}

void Outbox::settle_slot(const Unit& unit, Outcome outcome) {
  Slot& slot = *unit.slot;
  --slot.in_flight;
  uint64_t& version = outcome == Outcome::stored ? slot.stored_version : slot.refused_version;
  version = std::max(version, unit.slot_version);
  if (slot.version == unit.slot_version && !slot.dirty()) slot.if_missing = false;
  // The client that set the value was told of the refusal. The value must not be written later,
  // over what others have written since.
  if (outcome == Outcome::refused && slot.shared && slot.settled()) slot.forget = true;
  slots_.count(slot);
  settle_waits(slot, unit.slot_version, outcome);
  // The unit's own record may still refer to the slot. Then the slot goes with the record.
  if (unit.record == nullptr || unit.record->slot != &slot) maybe_forget(slot);
}

void Outbox::settle_record(const Unit& unit, int64_t subscribers, const Refusals& refusals) {
  if (unit.record == nullptr) return;
  Record& record = *unit.record;
  Outcome outcome = Outcome::stored;
  bool is_settled = true;
  if (record.slot != nullptr) {
    // The value may have gone ahead in another unit. Redis has stored or refused the value there,
    // or that unit was aborted: then the value goes again, and the waiter is told then.
    Slot& slot = *record.slot;
    if (slot.stored_version < record.slot_version) outcome = Outcome::refused;
    is_settled = std::max(slot.stored_version, slot.refused_version) >= record.slot_version;
    if (!is_settled && record.waiter != 0) {
      auto at = slot.waits.end();
      while (at != slot.waits.begin() && (at - 1)->version > record.slot_version) --at;
      slot.waits.insert(at, {record.slot_version, record.waiter, !refusals.entry.empty(),
                             !refusals.message.empty()});
    }
  } else if (!record.published && !(unit.publish ? refusals.message : refusals.entry).empty()) {
    outcome = Outcome::refused;
  }
  if (is_settled) {
    answers_.add({.waiter = record.waiter,
                  .outcome = outcome,
                  .entry_refused = !refusals.entry.empty(),
                  .message_refused = !refusals.message.empty(),
                  .words = {},
                  .subscribers = record.published ? record.subscribers : subscribers});
  }
  // It was too old to be published, and nothing else came with it.
  if (!unit.publish && !record.has_entry && record.slot == nullptr) add_loss(record.owner->owner);
  let_go(record);
  lanes_.pop_sent(record);
}

void Outbox::settle_waits(Slot& slot, uint64_t version, Outcome outcome) {
  auto it = slot.waits.begin();
  for (; it != slot.waits.end() && it->version <= version; ++it) {
    answers_.add({.waiter = it->waiter,
                  .outcome = outcome,
                  .entry_refused = it->entry_refused,
                  .message_refused = it->message_refused,
                  .words = {}});
  }
  slot.waits.erase(slot.waits.begin(), it);
  if (slot.waits.empty() && slot.waits.capacity() > 64) std::vector<Slot::Wait>().swap(slot.waits);
}

void Outbox::on_record_dropped(Record& record, bool kept) {
  if (!kept) {
    add_loss(record.owner->owner);
    answers_.add(record.waiter, Outcome::dropped);
  }
  let_go(record);
}

// The agent's own losses are told by the notice only.
void Outbox::add_loss(Owner owner) {
  if (owner == 0 || !on_losses_) return;
  const auto at = std::find_if(losses_.begin(), losses_.end(),
                               [&](const Loss& loss) { return loss.owner == owner; });
  if (at != losses_.end()) {
    ++at->count;
    return;
  }
  losses_.push_back({owner, 1});
  if (losses_.size() == 1) on_losses_();
}

// The record goes. A slot that waited for its last record waits alone from now on.
void Outbox::let_go(Record& record) {
  Slot* slot = std::exchange(record.slot, nullptr);
  if (slot == nullptr) return;
  --slot->records;
  slots_.count(*slot);
  if (slot->records == 0 && slot->lane == Lane::paired) slots_.move(*slot, Lane::alone);
  maybe_forget(*slot);
}

void Outbox::maybe_forget(Slot& slot) {
  if (!slot.forget || slot.dirty() || slot.in_flight > 0 || slot.records > 0) return;
  if (slot.settled()) slots_.erase(slot);
}

void Outbox::expire(Slot& slot) {
  slots_.expire(slot);
  if (slot.stored_version < slot.version) settle_waits(slot, slot.version, Outcome::dropped);
}

// There is no timer for this: a put() pays for it, at most once a second.
void Outbox::look_for_expired(MonoTime now) {
  if (now < slots_.next_expiry || now - looked_for_expired_ < std::chrono::seconds(1)) return;
  looked_for_expired_ = now;
  slots_.next_expiry = MonoTime::max();
  slots_.for_each([&](Slot& slot) {
    if (slot.kind != SlotKind::string || slot.ttl <= Duration::zero()) return;
    if (!slot.expired(now) || slot.in_flight > 0) {
      slots_.next_expiry = std::min(slots_.next_expiry, slot.expires);
      return;
    }
    expire(slot);
    if (slot.kind == SlotKind::remove) {
      slots_.mark_dirty(slot, Lane::alone);
    } else if (slot.dirty()) {
      slots_.take(slot);  // it was to be replayed
    }
    maybe_forget(slot);
  });
}

bool Outbox::drained() const {
  return in_flight_ == 0 && slots_.dirty_count() == 0 && lanes_.size() == 0 && !lanes_.has_gap();
}

void Outbox::tell_of_room() {
  const bool events = lanes_.take_relief();
  if ((slots_.shares().take_relief() || events) && on_room_) on_room_();
}

}  // namespace nb::outbox
