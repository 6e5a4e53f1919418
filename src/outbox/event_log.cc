#include "outbox/event_log.h"

#include <utility>

namespace nb::outbox {
namespace {

// Bookkeeping that each record costs beside its text.
constexpr size_t kRecordOverhead = sizeof(Record) + 64;

size_t size_of(const Event& event) {
  size_t bytes = kRecordOverhead;
  if (event.entry) {
    bytes += event.entry->stream.size();
    for (const Field& field : event.entry->fields) {
      bytes += field.name.size() + field.value.size() + sizeof(Field);
    }
  }
  if (event.message) bytes += event.message->channel.size() + event.message->payload.size();
  return bytes;
}

}  // namespace

void EventLog::push(Record record) {
  record.bytes = size_of(record.event);
  while (bytes_ + record.bytes > limits_.bytes && unsent_ != records_.end()) drop_oldest_unsent();
  if (bytes_ + record.bytes > limits_.bytes) return count_dropped(record);
  bytes_ += record.bytes;
  records_.push_back(std::move(record));
  if (unsent_ == records_.end()) --unsent_;
}

void EventLog::drop_old(MonoTime now) {
  while (unsent_ != records_.end() && now - unsent_->at > limits_.age) drop_oldest_unsent();
}

void EventLog::drop_oldest_unsent() {
  count_dropped(*unsent_);
  bytes_ -= unsent_->bytes;
  unsent_ = records_.erase(unsent_);
}

void EventLog::count_dropped(const Record& record) {
  ++dropped_;
  if (gap_.count++ == 0) gap_.first = record.wall;
  gap_.last = record.wall;
}

Record* EventLog::peek_unsent() {
  return unsent_ != records_.end() ? &*unsent_ : nullptr;
}

void EventLog::mark_sent() {
  ++unsent_;
}

void EventLog::pop_sent() {
  bytes_ -= records_.front().bytes;
  records_.pop_front();
}

void EventLog::unsend() {
  unsent_ = records_.begin();
}

void EventLog::forget_slots() {
  for (Record& record : records_) record.slot = nullptr;
}

Gap EventLog::take_gap() {
  return std::exchange(gap_, {});
}

}  // namespace nb::outbox
