#include "outbox/slots.h"

#include <algorithm>

namespace nb::outbox {

Slot& Slots::put(SlotWrite write) {
  Slot& slot = slots_[{write.db, write.key}];
  slot.write = std::move(write);
  ++slot.version;
  if (slot.dirty) {
    ++coalesced_;
  } else {
    mark_dirty(slot);
  }
  return slot;
}

void Slots::mark_dirty(Slot& slot) {
  if (slot.dirty) return;
  slot.dirty = true;
  queue_.push_back(&slot);
}

Slot* Slots::peek_dirty() {
  while (!queue_.empty() && !queue_.front()->dirty) queue_.pop_front();
  return queue_.empty() ? nullptr : queue_.front();
}

void Slots::take(Slot& slot) {
  slot.dirty = false;
  // Usually it is the first; one taken from the middle must not stand in the queue twice later.
  const auto at = std::find(queue_.begin(), queue_.end(), &slot);
  if (at != queue_.end()) queue_.erase(at);
}

void Slots::mark_all_dirty() {
  for (auto& [id, slot] : slots_) mark_dirty(slot);
}

size_t Slots::dirty_count() const {
  return static_cast<size_t>(std::count_if(slots_.begin(), slots_.end(),
                                           [](const auto& item) { return item.second.dirty; }));
}

}  // namespace nb::outbox
