#include "outbox/slots.h"

#include <algorithm>
#include <cstring>

namespace nb::outbox {
namespace {

// A slot's own bookkeeping: the map's node, its key's and its texts' allocations.
constexpr size_t kOverhead = sizeof(Slot) + 128;

size_t text_bytes(std::span<const FieldView> fields) {
  size_t bytes = 0;
  for (const FieldView& field : fields) bytes += field.name.size() + field.value.size();
  return bytes;
}

}  // namespace

Duration Slot::ttl_left(MonoTime now) const {
  if (kind != SlotKind::string || ttl <= Duration::zero()) return ttl;
  return std::max<Duration>(expires - now, std::chrono::milliseconds(1));
}

Slots::IdView Slots::id_of(int db, std::string_view key) {
  uint64_t number = key.size();
  for (size_t at = 0; at < key.size(); at += sizeof number) {
    uint64_t word = 0;
    std::memcpy(&word, key.data() + at, std::min(sizeof word, key.size() - at));
    number = (number ^ word) * 0x9e3779b97f4a7c15u;  // 2^64 divided by the golden ratio
    number ^= number >> 32;
  }
  return {number, db, key};
}

Slot* Slots::find(int db, std::string_view key) {
  const auto it = slots_.find(id_of(db, key));
  return it != slots_.end() ? &it->second : nullptr;
}

size_t Slots::size_of(const SlotUpdate& update) {
  return kOverhead + update.key.size() + text_bytes(update.fields) +
         update.fields.size() * sizeof(FieldView);
}

size_t Slots::size_of(const Slot& slot) {
  return kOverhead + slot.key.size() + slot.texts.size() + slot.fields.size() * sizeof(FieldView);
}

size_t Slots::limited_bytes_with(const SlotUpdate& update) const {
  const Slot* old = find(update.db, update.key);
  return limited_bytes_ + size_of(update) - (old != nullptr && old->limited ? size_of(*old) : 0);
}

Slot& Slots::put(const SlotUpdate& update, Lane lane, MonoTime now) {
  Slot* slot = find(update.db, update.key);
  if (slot == nullptr) {
    const IdView id = id_of(update.db, update.key);
    const auto [it, is_new] = slots_.try_emplace(Id{id.number, id.db, std::string(id.key)});
    slot = &it->second;
    slot->db = update.db;
    slot->key = it->first.key;
  } else if (slot->limited) {
    limited_bytes_ -= size_of(*slot);
  }
  slot->kind = update.kind;
  slot->ttl = update.ttl;
  slot->echo = update.echo;
  slot->forget = update.forget;
  slot->limited = update.limited;
  slot->put_at = now;
  pack(*slot, update.fields);
  ++slot->version;
  if (slot->limited) limited_bytes_ += size_of(*slot);
  if (slot->kind == SlotKind::string && slot->ttl > Duration::zero()) {
    slot->expires = now + slot->ttl;
    next_expiry = std::min(next_expiry, slot->expires);
  }
  if (slot->dirty()) {
    ++coalesced_;
  } else {
    mark_dirty(*slot, lane);
  }
  return *slot;
}

void Slots::pack(Slot& slot, std::span<const FieldView> fields) {
  const size_t bytes = text_bytes(fields);
  // A value that was large once must not hold its room for ever.
  if (slot.texts.capacity() > 4096 && slot.texts.capacity() / 8 > bytes) {
    std::string().swap(slot.texts);
  }
  slot.texts.clear();
  slot.texts.reserve(bytes);
  slot.fields.clear();
  const auto keep = [&](std::string_view text) {
    const char* at = slot.texts.data() + slot.texts.size();
    slot.texts += text;
    return std::string_view(at, text.size());
  };
  for (const FieldView& field : fields) {
    const std::string_view name = keep(field.name);
    slot.fields.push_back({name, keep(field.value)});
  }
}

void Slots::erase(Slot& slot) {
  if (slot.dirty()) take(slot);
  if (slot.limited) limited_bytes_ -= size_of(slot);
  slots_.erase(slots_.find(id_of(slot.db, slot.key)));
}

void Slots::mark_dirty(Slot& slot, Lane lane) {
  if (!slot.dirty()) move(slot, lane);
}

void Slots::move(Slot& slot, Lane lane) {
  if (slot.dirty()) {
    List& from = list(slot.lane);
    (slot.previous != nullptr ? slot.previous->next : from.first) = slot.next;
    (slot.next != nullptr ? slot.next->previous : from.last) = slot.previous;
    slot.previous = slot.next = nullptr;
    --dirty_;
  }
  slot.lane = lane;
  if (lane == Lane::none) return;
  List& to = list(lane);
  slot.previous = to.last;
  (to.last != nullptr ? to.last->next : to.first) = &slot;
  to.last = &slot;
  ++dirty_;
}

void Slots::mark_all_dirty() {
  while (Slot* slot = front(Lane::paired)) move(*slot, Lane::alone);
  for (auto& [id, slot] : slots_) {
    // Done with, and kept only for a record that refers to it.
    if (slot.forget && slot.settled()) continue;
    mark_dirty(slot, Lane::alone);
  }
}

void Slots::expire(Slot& slot) {
  slot.forget = true;
  if (slot.stored_version >= slot.version) return;
  if (slot.limited) limited_bytes_ -= size_of(slot);
  slot.kind = SlotKind::remove;
  slot.ttl = {};
  slot.fields.clear();
  slot.texts.clear();
  ++slot.version;
  if (slot.limited) limited_bytes_ += size_of(slot);
}

}  // namespace nb::outbox
