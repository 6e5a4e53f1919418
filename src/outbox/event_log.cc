#include "outbox/event_log.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace nb::outbox {
namespace {

// So many owners have chunks of their own, and keep their places while the lane is empty. The
// events of further owners, such as a client that connects again for each event, have memory of
// their own: a chunk for each of thousands of owners would be many times the size of the lane.
constexpr size_t kKeptOwners = 64;

// An owner sends this much before the next owner has its turn.
constexpr size_t kTurnBytes = 2048;

// As a user: no user has this number.
constexpr uint32_t kAgent = UINT32_MAX;

constexpr size_t kAlign = alignof(Record);
static_assert(sizeof(Record) % kAlign == 0);

size_t packed(std::string_view text) {
  return sizeof(uint32_t) + text.size();
}

size_t size_of_entry(const EntryUpdate& entry) {
  size_t bytes = packed(entry.stream);
  for (const FieldView& field : entry.fields) bytes += packed(field.name) + packed(field.value);
  return bytes;
}

class TextWriter {
 public:
  explicit TextWriter(char* at) : at_(at) {}
  void put(std::string_view text) {
    const auto size = static_cast<uint32_t>(text.size());
    std::memcpy(at_, &size, sizeof size);
    at_ += sizeof size;
    std::copy(text.begin(), text.end(), at_);
    at_ += text.size();
  }

 private:
  char* at_;
};

}  // namespace

std::string_view TextReader::next() {
  uint32_t size = 0;
  std::memcpy(&size, at_, sizeof size);
  const std::string_view text(at_ + sizeof size, size);
  at_ += sizeof size + size;
  return text;
}

EntryView Record::entry() const {
  TextReader reader(texts());
  const std::string_view stream = reader.next();
  return {db, stream, fields, reader};
}

MessageView Record::message() const {
  TextReader reader(texts() + message_at);
  const std::string_view channel = reader.next();
  return {channel, reader.next()};
}

void Gap::add(const Gap& other) {
  if (other.count == 0) return;
  first = count == 0 ? other.first : std::min(first, other.first);
  last = count == 0 ? other.last : std::max(last, other.last);
  count += other.count;
}

EventLog::~EventLog() {
  while (first_ != nullptr) release(*first_);
}

size_t EventLog::size_of(const EntryUpdate* entry, const MessageUpdate* message) {
  size_t bytes = sizeof(Record);
  if (entry != nullptr) bytes += size_of_entry(*entry);
  if (message != nullptr) bytes += packed(message->channel) + packed(message->payload);
  return (bytes + kAlign - 1) / kAlign * kAlign;
}

UserEvents& EventLog::place_of_user(uint32_t user) {
  UserEvents* free = nullptr;
  for (UserEvents& place : users_) {
    if (place.owners == 0) {
      free = &place;
    } else if (place.user == user) {
      return place;
    }
  }
  if (free == nullptr) free = &users_.emplace_front();
  free->user = user;
  return *free;
}

OwnEvents& EventLog::place_of(Origin origin) {
  const Owner owner = origin.owner;
  if (last_own_ != nullptr && last_own_->owner == owner) return *last_own_;
  OwnEvents* free = nullptr;
  for (const auto& own : owners_) {
    if (own->records == 0) {
      if (free == nullptr) free = own.get();
    } else if (own->owner == owner) {
      return *(last_own_ = own.get());
    }
  }
  if (free == nullptr) {
    owners_.push_back(std::make_unique<OwnEvents>());
    free = owners_.back().get();
    free->has_row = owners_.size() <= kKeptOwners;
  }
  free->owner = owner;
  free->user = &place_of_user(owner == 0 ? kAgent : origin.user);
  free->crowded = false;
  return *(last_own_ = free);
}

// The owner that loses its oldest event when the lane is full: of those with anything to lose, the
// one whose user would have most in the lane, and of that user the one that would have most. Only
// the agent itself displaces events of the agent.
OwnEvents* EventLog::to_be_shortened(const OwnEvents& by, size_t bytes) const {
  OwnEvents* most = nullptr;
  std::pair<size_t, size_t> most_bytes;
  for (const auto& own : owners_) {
    const bool is_by = own.get() == &by;
    if (own->first_unsent == nullptr || (own->owner == 0 && !is_by)) continue;
    const std::pair has(own->user->bytes + (own->user == by.user ? bytes : 0),
                        own->bytes + (is_by ? bytes : 0));
    if (has > most_bytes) {
      most = own.get();
      most_bytes = has;
    }
  }
  return most;
}

// Whether the lane has room, whatever the owner's share.
bool EventLog::fits(const OwnEvents& own, size_t size) const {
  const Chunks::Row* row = own.has_row ? &own.row : nullptr;
  return bytes() + Chunks::waste_by(row, size) + size <= limits_.lane_bytes(urgent_);
}

bool EventLog::has_room(Origin origin, size_t size) {
  const OwnEvents& own = place_of(origin);
  return own.bytes + size <= limits_.share(urgent_) && fits(own, size);
}

Record* EventLog::push(Origin origin, uint64_t sequence, const EntryUpdate* entry,
                       const MessageUpdate* message, MonoTime now, WallTime wall) {
  chunks_.trim(now);
  const size_t size = size_of(entry, message);
  const size_t share = limits_.share(urgent_);
  OwnEvents& own = place_of(origin);
  while (own.bytes + size > share && own.first_unsent != nullptr) drop(*own.first_unsent);
  while (own.bytes + size <= share && !fits(own, size)) {
    OwnEvents* shortened = to_be_shortened(own, size);
    if (shortened == nullptr) break;
    drop(*shortened->first_unsent);
  }
  if (own.bytes + size > share || !fits(own, size)) {
    count_dropped(wall);
    return nullptr;
  }
  const Chunks::Room room = chunks_.take(own.has_row ? &own.row : nullptr, size);
  auto* record = new (room.at) Record{};
  record->chunk = room.chunk;
  record->owner = &own;
  record->sequence = sequence;
  record->urgent = urgent_;
  record->at = now;
  record->wall = wall;
  record->bytes = static_cast<uint32_t>(size);
  TextWriter texts(static_cast<char*>(room.at) + sizeof(Record));
  if (entry != nullptr) {
    record->has_entry = true;
    record->db = entry->db;
    record->max_length = entry->max_length;
    record->max_bytes = entry->max_bytes;
    record->ttl = entry->ttl;
    record->sample = entry->sample;
    record->fields = static_cast<uint16_t>(entry->fields.size());
    texts.put(entry->stream);
    for (const FieldView& field : entry->fields) {
      texts.put(field.name);
      texts.put(field.value);
    }
  }
  if (message != nullptr) {
    record->has_message = true;
    record->max_age = message->max_age;
    record->message_at = static_cast<uint32_t>(entry != nullptr ? size_of_entry(*entry) : 0);
    texts.put(message->channel);
    texts.put(message->payload);
  }
  record->previous = last_;
  (last_ != nullptr ? last_->next : first_) = record;
  last_ = record;
  if (unsent_ == nullptr) unsent_ = record;
  add_to_unsent(*record, own, own.last_unsent);
  add(own, size);
  ++size_;
  bytes_ += size;
  const size_t part = fair_part(own);
  const bool lane_is_full = bytes() > limits_.lane_bytes(urgent_) / 4 * 3;
  if (own.bytes > (lane_is_full ? part / 4 : part / 4 * 3)) own.crowded = true;
  return record;
}

size_t EventLog::fair_part(const OwnEvents& own) const {
  const size_t parts = active_ * own.user->owners + 1;
  return std::min(limits_.share(urgent_), limits_.lane_bytes(urgent_) / parts);
}

void EventLog::add(OwnEvents& own, size_t bytes) {
  if (own.records++ == 0) active_ += own.user->owners++ == 0;
  own.bytes += bytes;
  own.user->bytes += bytes;
}

void EventLog::subtract(OwnEvents& own, size_t bytes) {
  if (--own.records == 0) active_ -= --own.user->owners == 0;
  own.bytes -= bytes;
  own.user->bytes -= bytes;
}

void EventLog::drop_old(MonoTime now) {
  chunks_.trim(now);
  if (size_ == 0 && owners_.size() > kKeptOwners) {
    last_own_ = turn_ = nullptr;
    owners_.clear();
    users_.clear();
  }
  const uint64_t before = dropped_;
  while (unsent_ != nullptr && now - unsent_->at > limits_.age) drop(*unsent_);
  dropped_old_ += dropped_ - before;
}

// `record` is not sent, or in doubt.
void EventLog::drop(Record& record) {
  if (unsent_ == &record) unsent_ = record.next;
  take_from_unsent(record);
  if (!on_dropped_(record)) count_dropped(record.wall);
  release(record);
}

void EventLog::count_dropped(WallTime wall) {
  ++dropped_;
  last_dropped_ = std::max(last_dropped_, wall);
  gap_.add({1, wall, wall});
}

Record* EventLog::next_to_send() {
  if (half_is_sent()) return nullptr;
  while (turn_ != nullptr && (turn_->first_unsent == nullptr || turn_->turn_bytes >= kTurnBytes)) {
    OwnEvents& own = *turn_;
    turn_ = own.next_turn;
    own.has_turn = false;
    if (own.first_unsent != nullptr) take_turn(own);
  }
  return turn_ != nullptr ? turn_->first_unsent : nullptr;
}

void EventLog::take_turn(OwnEvents& own) {
  own.has_turn = true;
  own.turn_bytes = 0;
  own.next_turn = nullptr;
  (turn_ != nullptr ? last_turn_->next_turn : turn_) = &own;
  last_turn_ = &own;
}

void EventLog::mark_sent(Record& record) {
  record.was_sent = true;
  take_from_unsent(record);
  record.owner->turn_bytes += record.bytes;
  sent_bytes_ += record.bytes;
  if (&record == unsent_) {
    unsent_ = record.next;
    return;
  }
  // The record moves behind those that were sent before it: answers come in that order.
  record.previous->next = record.next;
  (record.next != nullptr ? record.next->previous : last_) = record.previous;
  record.next = unsent_;
  record.previous = std::exchange(unsent_->previous, &record);
  (record.previous != nullptr ? record.previous->next : first_) = &record;
}

void EventLog::pop_sent() {
  sent_bytes_ -= first_->bytes;
  release(*first_);
}

void EventLog::send_again() {
  Record& record = *first_;
  sent_bytes_ -= record.bytes;
  if (unsent_ == nullptr) unsent_ = &record;
  if (&record != last_) {
    first_ = record.next;
    first_->previous = nullptr;
    record.next = nullptr;
    record.previous = std::exchange(last_, &record);
    record.previous->next = &record;
  }
  OwnEvents& own = *record.owner;
  add_to_unsent(record, own, own.last_unsent);
}

// Puts the record behind `before` among the owner's records, or first of them.
void EventLog::add_to_unsent(Record& record, OwnEvents& own, Record* before) {
  record.owner = &own;
  record.previous_own = before;
  record.next_own = before != nullptr ? before->next_own : own.first_unsent;
  (before != nullptr ? before->next_own : own.first_unsent) = &record;
  (record.next_own != nullptr ? record.next_own->previous_own : own.last_unsent) = &record;
  if (!own.has_turn) take_turn(own);
}

void EventLog::take_from_unsent(Record& record) {
  OwnEvents& own = *record.owner;
  Record* const next = record.next_own;
  (record.previous_own != nullptr ? record.previous_own->next_own : own.first_unsent) = next;
  (next != nullptr ? next->previous_own : own.last_unsent) = record.previous_own;
}

void EventLog::leave(Owner owner, Owner heir_owner) {
  OwnEvents* own = nullptr;
  for (const auto& place : owners_) {
    if (place->records > 0 && place->owner == owner) own = place.get();
  }
  if (own == nullptr || own->first_unsent == nullptr) return;
  OwnEvents& heir = place_of({.owner = heir_owner, .user = own->user->user});
  // Begins with the newest, since the heir's records are mostly older. They stay in the order of
  // their sequences.
  Record* before = heir.last_unsent;
  while (own->first_unsent != nullptr) {
    Record& record = *own->last_unsent;
    take_from_unsent(record);
    while (before != nullptr && before->sequence > record.sequence) before = before->previous_own;
    add_to_unsent(record, heir, before);
    subtract(*own, record.bytes);
    add(heir, record.bytes);
  }
}

void EventLog::release(Record& record) {
  (record.previous != nullptr ? record.previous->next : first_) = record.next;
  (record.next != nullptr ? record.next->previous : last_) = record.previous;
  OwnEvents& own = *record.owner;
  subtract(own, record.bytes);
  if (own.crowded && (own.records == 0 || own.bytes <= fair_part(own) / 2)) {
    own.crowded = false;
    relief_ = true;
  }
  --size_;
  bytes_ -= record.bytes;
  chunks_.give_back(record.chunk);
}

void EventLog::unsend() {
  // Sent records go first, in the order in which they were sent: the ids of the entries have to
  // rise. Records that Redis has aborted lie behind the rest.
  std::vector<Record*> records;
  records.reserve(size_);
  for (Record* record = first_; record != nullptr; record = record->next) records.push_back(record);
  std::sort(records.begin(), records.end(), [](const Record* a, const Record* b) {
    if ((a->number != 0) != (b->number != 0)) return a->number != 0;
    return a->number != b->number ? a->number < b->number : a->sequence < b->sequence;
  });
  first_ = last_ = nullptr;
  for (Record* record : records) {
    record->next = nullptr;
    record->previous = last_;
    (last_ != nullptr ? last_->next : first_) = record;
    last_ = record;
  }
  unsent_ = first_;
  sent_bytes_ = 0;
  turn_ = nullptr;
  for (const auto& own : owners_) {
    own->first_unsent = own->last_unsent = nullptr;
    own->has_turn = false;
  }
  for (Record* record = first_; record != nullptr; record = record->next) {
    add_to_unsent(*record, *record->owner, record->owner->last_unsent);
  }
}

bool EventLog::crowded(Owner owner) const {
  if (last_own_ != nullptr && last_own_->owner == owner) return last_own_->crowded;
  return std::any_of(owners_.begin(), owners_.end(), [&](const auto& own) {
    return own->records > 0 && own->owner == owner && own->crowded;
  });
}

Gap EventLog::take_gap() {
  return std::exchange(gap_, {});
}

}  // namespace nb::outbox
