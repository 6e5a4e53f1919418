#include "outbox/slot_shares.h"

#include "outbox/slots.h"

namespace nb::outbox {
namespace {

void append(SlotShares::List& list, Slot& slot) {
  slot.place.previous = list.last;
  slot.place.next = nullptr;
  (list.last != nullptr ? list.last->place.next : list.first) = &slot;
  list.last = &slot;
}

void take_out(SlotShares::List& list, Slot& slot) {
  Slot* previous = slot.place.previous;
  Slot* next = slot.place.next;
  (previous != nullptr ? previous->place.next : list.first) = next;
  (next != nullptr ? next->place.previous : list.last) = previous;
}

bool waits(const Slot& slot) {
  return !slot.settled();
}

bool may_be_forgotten(const Slot& slot) {
  return slot.settled() && slot.in_flight == 0 && slot.records == 0;
}

// Moves the slots of `from` behind those of `to`, which is a list of `holder`.
void append_all(SlotShares::List& to, SlotShares::List& from, SlotShares::Holder& holder) {
  if (from.first == nullptr) return;
  for (Slot* slot = from.first; slot != nullptr; slot = slot->place.next) {
    slot->place.holder = &holder;
  }
  from.first->place.previous = to.last;
  (to.last != nullptr ? to.last->place.next : to.first) = from.first;
  to.last = from.last;
}

}  // namespace

SlotShares::Holder* SlotShares::find(Owner owner) const {
  if (last_ != nullptr && last_->owner == owner) return last_;
  for (const auto& holder : holders_) {
    if (!holder->gone && holder->owner == owner) return last_ = holder.get();
  }
  return nullptr;
}

SlotShares::Holder* SlotShares::find_gone(uint32_t user) const {
  for (const auto& holder : holders_) {
    if (holder->gone && holder->user == user) return holder.get();
  }
  return nullptr;
}

SlotShares::Holder& SlotShares::holder_of(Owner owner) {
  if (Holder* holder = find(owner)) return *holder;
  client_came(owner, 0);
  return *holders_.back();
}

void SlotShares::client_came(Owner owner, uint32_t user) {
  const Holder* gone = find_gone(user);
  auto holder = std::make_unique<Holder>();
  holder->owner = owner;
  holder->user = user;
  holder->inherited = gone != nullptr ? gone->waiting : 0;
  holders_.push_back(std::move(holder));
}

// The cost is bounded: a slot is moved at most once for each time that it was put.
void SlotShares::client_gone(Owner owner) {
  Holder* holder = find(owner);
  if (holder == nullptr) return;
  last_ = nullptr;
  if (holder->bytes > 0) {
    Holder* gone = find_gone(holder->user);
    if (gone == nullptr) {
      holder->gone = true;
      holder->crowded = false;
      return;
    }
    append_all(gone->kept, holder->kept, *gone);
    append_all(gone->others, holder->others, *gone);
    active_ -= gone->waiting > 0 && holder->waiting > 0;
    gone->waiting += holder->waiting;
    gone->kept_bytes += holder->kept_bytes;
    gone->bytes += holder->bytes;
  }
  largest_ = nullptr;
  std::erase_if(holders_, [&](const auto& each) {
    return each.get() == holder || (each->gone && each->bytes == 0);
  });
}

Put SlotShares::may_put(const Slot* old, size_t size, Owner owner) {
  if (size > limits_.share()) return Put::too_large;
  const Holder& own = holder_of(owner);
  const Place before = old != nullptr ? old->place : Place{};
  const size_t waited = before.waits ? before.bytes : 0;
  const size_t own_waiting = own.waiting + size - (before.holder == &own ? waited : 0);
  if (own_waiting > own.waiting && own_waiting > limits_.share()) return Put::share_full;
  const size_t waiting = waiting_ + size - waited;
  if (waiting > waiting_ && waiting > limits_.for_all()) {
    const Holder* gone = find_gone(own.user);
    const size_t inherited = gone != nullptr ? std::min(own.inherited, gone->waiting) : 0;
    if (waiting > limits_.bytes || own_waiting + inherited > limits_.little()) return Put::full;
  }
  // A value that is being written again cannot be forgotten.
  const size_t bytes = bytes_ + size - before.bytes;
  const size_t kept = kept_bytes_ - (before.kept ? before.bytes : 0);
  if (bytes > bytes_ && bytes - kept > limits_.bytes) return Put::full;
  return Put::accepted;
}

bool SlotShares::has_room(const Slot* old, size_t size) const {
  return bytes_ + size - (old != nullptr ? old->place.bytes : 0) <= limits_.bytes;
}

Slot* SlotShares::to_be_forgotten(size_t size, Owner owner) {
  if (bytes_ + size <= limits_.bytes || kept_bytes_ == 0) return nullptr;
  const Holder& own = holder_of(owner);
  if (own.bytes + size > limits_.share() && own.kept.first != nullptr) return own.kept.first;
  return largest()->kept.first;
}

SlotShares::Holder* SlotShares::largest() {
  if (largest_ != nullptr && largest_->kept_bytes > largest_until_) return largest_;
  largest_ = nullptr;
  for (const auto& holder : holders_) {
    if (largest_ == nullptr || holder->kept_bytes > largest_->kept_bytes) largest_ = holder.get();
  }
  largest_until_ = largest_->kept_bytes / 2;
  return largest_;
}

void SlotShares::count(Slot& slot, size_t bytes, Owner owner) {
  move(slot, &holder_of(owner), bytes);
}

// Usually no relevant value has changed: the slot stays where it is.
void SlotShares::count(Slot& slot, size_t bytes) {
  const Place& place = slot.place;
  if (place.holder == nullptr) return;
  if (place.bytes == bytes && place.waits == waits(slot) && place.kept == may_be_forgotten(slot)) {
    return;
  }
  move(slot, place.holder, bytes);
}

void SlotShares::forget(Slot& slot) {
  if (slot.place.holder != nullptr) move(slot, nullptr, 0);
}

void SlotShares::move(Slot& slot, Holder* to, size_t bytes) {
  Holder* from = slot.place.holder;
  if (from != nullptr) leave(slot);
  if (to != nullptr) enter(slot, *to, bytes);
  if (from != nullptr) look_for_crowd(*from);
  if (to != nullptr && to != from) look_for_crowd(*to);
}

void SlotShares::enter(Slot& slot, Holder& holder, size_t bytes) {
  Place& place = slot.place;
  place.holder = &holder;
  place.bytes = bytes;
  place.waits = waits(slot);
  place.kept = may_be_forgotten(slot);
  append(place.kept ? holder.kept : holder.others, slot);
  holder.bytes += bytes;
  bytes_ += bytes;
  if (place.waits) {
    active_ += holder.waiting == 0;
    holder.waiting += bytes;
    waiting_ += bytes;
  }
  if (!place.kept) return;
  holder.kept_bytes += bytes;
  kept_bytes_ += bytes;
  if (largest_ != nullptr && holder.kept_bytes > largest_->kept_bytes) {
    largest_ = &holder;
    largest_until_ = holder.kept_bytes / 2;
  }
}

void SlotShares::leave(Slot& slot) {
  const Place place = std::exchange(slot.place, {});
  Holder& holder = *place.holder;
  slot.place.previous = place.previous;
  slot.place.next = place.next;
  take_out(place.kept ? holder.kept : holder.others, slot);
  holder.bytes -= place.bytes;
  bytes_ -= place.bytes;
  if (place.waits) {
    holder.waiting -= place.bytes;
    waiting_ -= place.bytes;
    active_ -= holder.waiting == 0;
  }
  if (place.kept) {
    holder.kept_bytes -= place.bytes;
    kept_bytes_ -= place.bytes;
  }
}

void SlotShares::look_for_crowd(Holder& holder) {
  const size_t part = std::min(limits_.share(), limits_.for_all() / (active_ + 1));
  if (holder.waiting > part / 4 * 3) {
    holder.crowded = !holder.gone;
  } else if (holder.crowded && holder.waiting <= part / 2) {
    holder.crowded = false;
    relief_ = true;
  }
}

bool SlotShares::crowded(Owner owner) const {
  const Holder* holder = find(owner);
  return holder != nullptr && holder->crowded;
}

}  // namespace nb::outbox
