// EventLog: events in order, bounded in bytes and age. When it is full the oldest goes first, and
// how many went, and from when to when, is kept until it could be said. Records lie packed in
// chunks and never move, so an event costs no allocation in steady state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/delegate.h"
#include "outbox/chunks.h"
#include "outbox/slots.h"
#include "outbox/update.h"

namespace nb::outbox {

struct EventLogLimits {
  size_t bytes = 1024 * 1024;  // bookkeeping included
  Duration age = std::chrono::minutes(10);
};

// Packed texts, each behind its length.
class TextReader {
 public:
  explicit TextReader(const char* at) : at_(at) {}
  std::string_view next();

 private:
  const char* at_;
};

struct EntryView {
  int db;
  std::string_view stream;
  uint64_t max_length;
  size_t fields;
  TextReader texts;  // name, value, name, ...
};

struct MessageView {
  std::string_view channel;
  std::string_view payload;
};

// Its texts follow it in memory: stream, names and values, channel, payload.
struct Record {
  Record* next;
  Chunks::Chunk* chunk;
  Slot* slot;  // goes in the same transaction if it still waits then
  uint64_t slot_version;
  MonoTime at;
  WallTime wall;
  Duration max_age;  // of the message
  Waiter waiter;
  uint64_t max_length;
  uint32_t bytes;  // the whole of it
  uint32_t message_at;
  int32_t db;
  uint16_t fields;
  bool has_entry;
  bool has_message;
  bool was_sent;  // perhaps in vain
  bool apart;     // its transaction was refused as a whole: its parts go one by one

  EntryView entry() const;
  MessageView message() const;
  const char* texts() const { return reinterpret_cast<const char*>(this + 1); }
};

// What was dropped since it was last said.
struct Gap {
  uint64_t count = 0;
  WallTime first{};
  WallTime last{};
  void add(const Gap& other);
};

class EventLog {
 public:
  // `on_dropped` hears of each record that goes unsent, while it is still valid.
  EventLog(EventLogLimits limits, Delegate<void(Record&)> on_dropped)
      : limits_(limits), on_dropped_(on_dropped) {}
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;
  ~EventLog();

  void set_limits(EventLogLimits limits) { limits_ = limits; }
  const EventLogLimits& limits() const { return limits_; }
  // What a record of these would take; either may be null.
  static size_t size_of(const EntryUpdate* entry, const MessageUpdate* message);

  // Appends, and drops from the front what no longer fits, never what is being sent. Null, and
  // counted as dropped, if there is no room even so.
  Record* push(const EntryUpdate* entry, const MessageUpdate* message, MonoTime now, WallTime wall);
  // Drops what is older than the limit.
  void drop_old(MonoTime now);

  // The first record not yet sent, or null. It stays where it is until it is popped or dropped.
  Record* peek_unsent() { return unsent_; }
  void mark_sent();
  // The oldest sent record has been answered.
  void pop_sent();
  // Nothing of the oldest sent record was carried out: it waits again, behind all others.
  void send_again();
  // What was sent is in doubt: it will be sent again.
  void unsend();
  // Calls visit(record) for each, the oldest first.
  template <class Visit>
  void for_each(Visit visit) {
    for (Record* record = first_; record != nullptr; record = record->next) visit(*record);
  }

  size_t size() const { return size_; }
  size_t bytes() const { return bytes_ + chunks_.wasted(); }
  size_t allocated() const { return chunks_.allocated(); }
  uint64_t dropped() const { return dropped_; }

  bool has_gap() const { return gap_.count > 0; }
  Gap take_gap();
  void put_back(const Gap& gap) { gap_.add(gap); }

 private:
  void drop_oldest_unsent();
  void count_dropped(WallTime wall);
  void release(Record* record);

  EventLogLimits limits_;
  Delegate<void(Record&)> on_dropped_;
  Chunks chunks_;
  Record* first_ = nullptr;
  Record* last_ = nullptr;
  Record* unsent_ = nullptr;     // those before it wait for answers
  Record* last_sent_ = nullptr;  // the one before it
  size_t size_ = 0;
  size_t bytes_ = 0;
  uint64_t dropped_ = 0;
  Gap gap_;
};

}  // namespace nb::outbox
