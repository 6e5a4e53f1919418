// EventLog: events in order, bounded in bytes and age. When it is full the oldest goes first, and
// how many went, and from when to when, is kept until it could be said.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>

#include "outbox/slots.h"
#include "outbox/update.h"

namespace nb::outbox {

struct EventLogLimits {
  size_t bytes = 1024 * 1024;
  Duration age = std::chrono::minutes(10);
};

struct Record {
  Event event;
  Slot* slot = nullptr;  // goes in the same transaction if it still waits then
  MonoTime at{};
  WallTime wall{};
  size_t bytes = 0;
};

// What was dropped since it was last said.
struct Gap {
  uint64_t count = 0;
  WallTime first{};
  WallTime last{};
};

class EventLog {
 public:
  explicit EventLog(EventLogLimits limits) : limits_(limits) {}
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  void set_limits(EventLogLimits limits) { limits_ = limits; }

  // Appends; drops from the front what no longer fits, never what is being sent. A record that is
  // larger than the whole log is dropped itself.
  void push(Record record);
  // Drops what is older than the limit.
  void drop_old(MonoTime now);

  // The first record not yet sent, or null; send() moves on to the next. References stay valid
  // until the record is popped.
  Record* peek_unsent();
  void mark_sent();
  // The oldest sent record has been answered.
  void pop_sent();
  // What was sent is in doubt: it will be sent again.
  void unsend();
  // The updates these belonged to are history: their slots go on their own.
  void forget_slots();

  size_t size() const { return records_.size(); }
  size_t bytes() const { return bytes_; }
  uint64_t dropped() const { return dropped_; }

  bool has_gap() const { return gap_.count > 0; }
  Gap take_gap();

 private:
  void drop_oldest_unsent();
  void count_dropped(const Record& record);

  EventLogLimits limits_;
  // A list, since records are erased behind others whose addresses are in use.
  std::list<Record> records_;
  std::list<Record>::iterator unsent_ = records_.end();  // those before it wait for answers
  size_t bytes_ = 0;
  uint64_t dropped_ = 0;
  Gap gap_;
};

}  // namespace nb::outbox
