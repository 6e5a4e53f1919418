// Slots: the latest value of each key. A newer value replaces one that still waits, so memory is
// bounded by the number of keys; every slot can be written again, so Redis is disposable.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>

#include "outbox/update.h"

namespace nb::outbox {

struct Slot {
  SlotWrite write;
  uint64_t version = 0;         // counts the writes that were put here
  uint64_t stored_version = 0;  // the last that Redis has confirmed
  bool dirty = false;           // waits to be sent
};

class Slots {
 public:
  // Replaces the value of its key. The reference stays valid: slots are never removed.
  Slot& put(SlotWrite write);

  // The slot that has waited longest, or null. It is no longer dirty after take().
  Slot* peek_dirty();
  void take(Slot& slot);

  // Redis may have lost everything, or never got what was sent.
  void mark_all_dirty();
  void mark_dirty(Slot& slot);

  size_t size() const { return slots_.size(); }
  size_t dirty_count() const;
  uint64_t coalesced() const { return coalesced_; }

 private:
  std::map<std::pair<int, std::string>, Slot> slots_;
  std::deque<Slot*> queue_;  // dirty ones in order; may hold some that no longer are
  uint64_t coalesced_ = 0;
};

}  // namespace nb::outbox
