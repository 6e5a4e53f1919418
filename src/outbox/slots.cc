#include "outbox/slots.h"

#include <algorithm>
#include <cstring>

#include "base/random.h"
#include "base/text.h"
#include "wire/keys.h"

namespace nb::outbox {
namespace {

constexpr size_t kFirstBuckets = 16;
// A slot's own bookkeeping: its place in the buckets, and the allocations of its key and texts.
constexpr size_t kOverhead = sizeof(Slot) + 96;
// So many bytes for texts an erased slot may keep for the next one.
constexpr size_t kSpareTexts = 4096;

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

Slots::Slots(SlotLimits limits) : seed_(Random::from_system().next()), shares_(limits) {}

Slots::~Slots() {
  for_each([](Slot& slot) { delete &slot; });
}

uint64_t Slots::number_of(int db, std::string_view key) const {
  uint64_t number = seed_ + key.size() + (static_cast<uint64_t>(db) << 32);
  const auto add = [&number](uint64_t word) {
    number = (number ^ word) * 0x9e3779b97f4a7c15u;  // 2^64 divided by the golden ratio
    number ^= number >> 32;
  };
  for (; key.size() > sizeof number; key.remove_prefix(sizeof number)) {
    uint64_t word;
    std::memcpy(&word, key.data(), sizeof word);
    add(word);
  }
  uint64_t last = 0;
  std::memcpy(&last, key.data(), key.size());
  add(last);
  return number;
}

Slot* Slots::find(int db, std::string_view key) const {
  if (count_ == 0) return nullptr;
  const uint64_t number = number_of(db, key);
  Slot* slot = buckets_[static_cast<size_t>(number) & (buckets_.size() - 1)];
  while (slot != nullptr && !(slot->number == number && slot->db == db && same(slot->key, key))) {
    slot = slot->chained;
  }
  return slot;
}

Slot& Slots::add(int db, std::string_view key) {
  if (count_ == buckets_.size()) spread();
  Slot* slot = make().release();
  slot->number = number_of(db, key);
  slot->db = db;
  slot->key = key;
  slot->own = wire::is_reserved_key(key);
  slot->chained = std::exchange(bucket_of(slot->number), slot);
  slot->older = newest_;
  (newest_ != nullptr ? newest_->newer : oldest_) = slot;
  newest_ = slot;
  ++count_;
  return *slot;
}

// A new slot takes over the room of the last slot that was erased.
std::unique_ptr<Slot> Slots::make() {
  if (spare_ == nullptr) return std::make_unique<Slot>();
  Slot fresh;
  fresh.key.swap(spare_->key);
  fresh.texts.swap(spare_->texts);
  fresh.fields.swap(spare_->fields);
  fresh.waits.swap(spare_->waits);
  *spare_ = std::move(fresh);
  return std::move(spare_);
}

// Doubles the number of buckets.
void Slots::spread() {
  std::vector<Slot*>(std::max(kFirstBuckets, buckets_.size() * 2)).swap(buckets_);
  for_each([this](Slot& slot) { slot.chained = std::exchange(bucket_of(slot.number), &slot); });
}

size_t Slots::size_of(const SlotUpdate& update) {
  return kOverhead + update.key.size() + text_bytes(update.fields) +
         update.fields.size() * sizeof(FieldView);
}

size_t Slots::size_of(const Slot& slot) {
  return kOverhead + slot.key.size() + slot.texts.size() + slot.fields.size() * sizeof(FieldView);
}

Put Slots::make_room(Slot* old, const SlotUpdate& update, Owner owner) {
  const size_t size = size_of(update);
  const Put put = shares_.may_put(old, size, owner);
  if (put != Put::accepted || shares_.has_room(old, size)) return put;
  if (old != nullptr) shares_.forget(*old);  // put() counts it again
  while (Slot* slot = shares_.to_be_forgotten(size, owner)) erase(*slot);
  return Put::accepted;
}

Slot& Slots::put(Slot* old, const SlotUpdate& update, Lane lane, MonoTime now, Owner owner) {
  Slot* slot = old != nullptr ? old : &add(update.db, update.key);
  ended_ -= slot->ended();
  slot->kind = update.kind;
  if (slot->ttl != update.ttl) slot->expire_sent = MonoTime::min();
  slot->ttl = update.ttl;
  slot->renew = update.renew;
  slot->echo = update.echo;
  slot->forget = update.forget;
  slot->limited = update.limited;
  slot->shared = update.shared;
  slot->if_missing = false;
  slot->put_at = now;
  ended_ += slot->ended();
  pack(*slot, update.fields);
  slot->largest = std::max(slot->largest, slot->texts.size());
  ++slot->version;
  if (slot->limited) {
    shares_.count(*slot, size_of(*slot), owner);
  } else {
    shares_.forget(*slot);
  }
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
  // A value that was large once must not keep its room for ever, since that room is not counted.
  if (slot.texts.capacity() / 2 > bytes + 64) {
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
  shares_.forget(slot);
  ended_ -= slot.ended();
  Slot** link = &bucket_of(slot.number);
  while (*link != &slot) link = &(*link)->chained;
  *link = slot.chained;
  (slot.older != nullptr ? slot.older->newer : oldest_) = slot.newer;
  (slot.newer != nullptr ? slot.newer->older : newest_) = slot.older;
  --count_;
  std::unique_ptr<Slot> erased(&slot);
  if (slot.texts.capacity() > kSpareTexts) std::string().swap(slot.texts);
  if (spare_ == nullptr) spare_ = std::move(erased);
}

void Slots::mark_dirty(Slot& slot, Lane lane) {
  if (!slot.dirty()) move(slot, lane);
}

void Slots::move(Slot& slot, Lane lane) {
  if (slot.dirty()) {
    List& from = list(slot, slot.lane);
    (slot.previous != nullptr ? slot.previous->next : from.first) = slot.next;
    (slot.next != nullptr ? slot.next->previous : from.last) = slot.previous;
    slot.previous = slot.next = nullptr;
    --dirty_;
  }
  slot.lane = lane;
  if (lane == Lane::none) return;
  List& to = list(slot, lane);
  slot.previous = to.last;
  (to.last != nullptr ? to.last->next : to.first) = &slot;
  to.last = &slot;
  ++dirty_;
}

void Slots::mark_dirty_for_connection() {
  while (Slot* slot = front(Lane::paired)) move(*slot, Lane::alone);
  for_each([this](Slot& slot) {
    slot.expire_sent = MonoTime::min();
    if (slot.shared && slot.stored_version >= slot.version) return;
    // A slot that is settled and to be forgotten is kept only for a record that refers to it.
    if (!slot.forget || !slot.settled()) mark_dirty(slot, Lane::alone);
  });
}

void Slots::mark_dirty_after_loss(const Slot* just_written) {
  for_each([](Slot& slot) {
    slot.expire_sent = MonoTime::min();
    if (slot.shared && slot.stored_version >= slot.version && !slot.dirty()) {
      slot.if_missing = true;
    }
  });
  while (Slot* slot = front(Lane::paired)) move(*slot, Lane::alone);
  for_each([&](Slot& slot) {
    if (&slot != just_written && (!slot.forget || !slot.settled())) mark_dirty(slot, Lane::alone);
  });
}

void Slots::expire(Slot& slot) {
  slot.forget = true;
  if (slot.stored_version >= slot.version) return;
  slot.kind = SlotKind::remove;
  slot.if_missing = false;
  slot.ttl = {};
  pack(slot, {});
  ++slot.version;
  count(slot);
}

}  // namespace nb::outbox
