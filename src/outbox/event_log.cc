#include "outbox/event_log.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace nb::outbox {
namespace {

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
  return {db, stream, max_length, fields, reader};
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
  while (first_ != nullptr) release(std::exchange(first_, first_->next));
}

size_t EventLog::size_of(const EntryUpdate* entry, const MessageUpdate* message) {
  size_t bytes = sizeof(Record);
  if (entry != nullptr) bytes += size_of_entry(*entry);
  if (message != nullptr) bytes += packed(message->channel) + packed(message->payload);
  return (bytes + kAlign - 1) / kAlign * kAlign;
}

Record* EventLog::push(const EntryUpdate* entry, const MessageUpdate* message, MonoTime now,
                       WallTime wall) {
  chunks_.trim(now);
  const size_t size = size_of(entry, message);
  const auto fits = [&] { return bytes() + chunks_.waste_by(size) + size <= limits_.bytes; };
  while (!fits() && unsent_ != nullptr) drop_oldest_unsent();
  if (!fits()) {
    count_dropped(wall);
    return nullptr;
  }
  const Chunks::Room room = chunks_.take(size);
  auto* record = new (room.at) Record{};
  record->chunk = room.chunk;
  record->at = now;
  record->wall = wall;
  record->bytes = static_cast<uint32_t>(size);
  TextWriter texts(static_cast<char*>(room.at) + sizeof(Record));
  if (entry != nullptr) {
    record->has_entry = true;
    record->db = entry->db;
    record->max_length = entry->max_length;
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
  (last_ != nullptr ? last_->next : first_) = record;
  last_ = record;
  if (unsent_ == nullptr) unsent_ = record;
  ++size_;
  bytes_ += size;
  return record;
}

void EventLog::drop_old(MonoTime now) {
  chunks_.trim(now);
  while (unsent_ != nullptr && now - unsent_->at > limits_.age) drop_oldest_unsent();
}

void EventLog::drop_oldest_unsent() {
  Record* gone = unsent_;
  unsent_ = gone->next;
  (last_sent_ != nullptr ? last_sent_->next : first_) = gone->next;
  if (last_ == gone) last_ = last_sent_;
  count_dropped(gone->wall);
  on_dropped_(*gone);
  release(gone);
}

void EventLog::count_dropped(WallTime wall) {
  ++dropped_;
  gap_.add({1, wall, wall});
}

void EventLog::mark_sent() {
  unsent_->was_sent = true;
  last_sent_ = unsent_;
  unsent_ = unsent_->next;
}

void EventLog::pop_sent() {
  Record* gone = first_;
  first_ = gone->next;
  if (last_sent_ == gone) last_sent_ = nullptr;
  if (last_ == gone) last_ = nullptr;
  release(gone);
}

void EventLog::send_again() {
  Record* record = first_;
  if (last_sent_ == record) last_sent_ = nullptr;
  if (unsent_ == nullptr) unsent_ = record;
  if (record == last_) return;
  first_ = record->next;
  record->next = nullptr;
  last_->next = record;
  last_ = record;
}

void EventLog::release(Record* record) {
  --size_;
  bytes_ -= record->bytes;
  chunks_.give_back(record->chunk);
}

void EventLog::unsend() {
  unsent_ = first_;
  last_sent_ = nullptr;
}

Gap EventLog::take_gap() {
  return std::exchange(gap_, {});
}

}  // namespace nb::outbox
