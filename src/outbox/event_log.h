// EventLog: one lane of events, bounded in bytes and age. Each owner has a share of the lane. The
// events of one owner are sent in their order. The owners take turns, so no owner waits behind all
// events of another. When a share is full, its owner's oldest unsent event is dropped. When the
// lane is full, the user with most in it loses an event: the oldest unsent one of the user's owner
// with most. So a user with little in the lane loses nothing, whatever others do, and however many
// clients others have. The log keeps how many events were lost, and from when to when, until a
// notice has told it. Records lie packed in chunks and never move, so an event costs no allocation
// in steady state.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <forward_list>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/delegate.h"
#include "outbox/chunks.h"
#include "outbox/slots.h"
#include "outbox/update.h"

namespace nb::outbox {

struct EventLogLimits {
  size_t bytes = 1024 * 1024;  // bookkeeping included
  Duration age = std::chrono::minutes(10);
  size_t owner_bytes = 512 * 1024;   // one owner's share of each lane
  size_t urgent_bytes = 512 * 1024;  // as `bytes`, of the urgent lane

  size_t lane_bytes(bool urgent) const { return urgent ? urgent_bytes : bytes; }
  // No event may be larger.
  size_t share(bool urgent) const { return std::min(owner_bytes, lane_bytes(urgent)); }
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
  size_t fields;
  TextReader texts;  // name, value, name, ...
};

struct MessageView {
  std::string_view channel;
  std::string_view payload;
};

struct OwnEvents;
struct UserEvents;

// One event. Its texts follow it in memory: stream, names and values, channel, payload.
struct Record {
  Record* next;
  Record* previous;
  Record* next_own;  // the owner's next one that is not yet sent
  Record* previous_own;
  OwnEvents* owner;
  Chunks::Chunk* chunk;
  Slot* slot;  // goes in the same transaction if it still waits by then
  uint64_t slot_version;
  uint64_t sequence;  // the event's permanent name: see outbox/journal.h
  uint64_t behind;    // goes behind the other lane's records up to this sequence
  MonoTime at;
  WallTime wall;
  Duration max_age;  // of the message
  Waiter waiter;
  uint64_t max_length;  // of the stream
  uint64_t max_bytes;
  Duration ttl;
  uint64_t id_ms;       // of the entry, given when it is first sent; 0: not given
  uint32_t number;      // counts all records in the order in which they are sent; 0: not sent yet
  int32_t subscribers;  // of a message that has gone ahead of its entry
  uint32_t bytes;       // of the record with its texts
  uint32_t message_at;
  int32_t db;
  uint16_t fields;
  bool urgent;
  bool has_entry;
  bool has_message;
  bool was_sent;   // perhaps in vain
  bool apart;      // its transaction was aborted: its parts go one by one
  bool sample;     // as EntryUpdate
  bool any_id;     // Redis chooses the id of the entry this time
  bool published;  // the message has gone ahead of the entry

  EntryView entry() const;
  MessageView message() const;
  EntryId id() const { return {id_ms, number}; }
  // As if it had not been sent: nothing of it is in doubt.
  void forget_id() {
    id_ms = 0;
    number = 0;
  }
  // The size of the entry's texts.
  uint64_t entry_bytes() const { return has_message ? message_at : bytes - sizeof(Record); }
  const char* texts() const { return reinterpret_cast<const char*>(this + 1); }
};

// What one owner has in a lane.
struct OwnEvents {
  Owner owner = 0;
  UserEvents* user = nullptr;  // of an empty place this may be another user's
  size_t records = 0;          // 0: this place is free
  size_t bytes = 0;
  Record* first_unsent = nullptr;
  Record* last_unsent = nullptr;
  OwnEvents* next_turn = nullptr;
  bool has_turn = false;  // is in the list of turns, perhaps with nothing left to send
  size_t turn_bytes = 0;  // sent in this turn
  bool crowded = false;
  bool has_row = false;
  Chunks::Row row;
};

// What all owners of one user have in a lane. The agent is a user of its own.
struct UserEvents {
  uint32_t user = 0;
  size_t owners = 0;  // that have records; 0: this place is free
  size_t bytes = 0;
};

// The events that were lost since the last notice.
struct Gap {
  uint64_t count = 0;
  WallTime first{};
  WallTime last{};
  void add(const Gap& other);
};

class EventLog {
 public:
  // `on_dropped` is called with each record that goes unsent, while the record is still valid. It
  // returns true if the event is kept elsewhere and does not count as lost.
  EventLog(EventLogLimits limits, bool urgent, Delegate<bool(Record&)> on_dropped)
      : limits_(limits), urgent_(urgent), on_dropped_(on_dropped) {}
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;
  ~EventLog();

  void set_limits(EventLogLimits limits) { limits_ = limits; }
  const EventLogLimits& limits() const { return limits_; }
  // The bytes that a record of these would take; either may be null.
  static size_t size_of(const EntryUpdate* entry, const MessageUpdate* message);

  // Appends a record, and drops records that no longer fit then, but never one that is being sent.
  // If there is no room even so, the event is counted as dropped, and the result is null.
  Record* push(Origin origin, uint64_t sequence, const EntryUpdate* entry,
               const MessageUpdate* message, MonoTime now, WallTime wall);
  // Whether push() would drop nothing for a record of this size.
  bool has_room(Origin origin, size_t size);
  // Drops unsent records that are older than the limit.
  void drop_old(MonoTime now);

  // The oldest record not yet sent, or null.
  Record* first_unsent() const { return unsent_; }
  // The record that was sent first of those that are in doubt, or null. Such records go again
  // before all others, in the order in which they were sent first.
  Record* first_in_doubt() const {
    return unsent_ != nullptr && unsent_->number != 0 ? unsent_ : nullptr;
  }
  // Whether half of the lane is on its way already. Anything in the other half can be dropped, so
  // there is always room for an owner with little in the lane.
  bool half_is_sent() const { return sent_bytes_ > limits_.lane_bytes(urgent_) / 2; }
  // The first unsent record of the owner that has the turn, or null.
  Record* next_to_send();
  // `record` is next_to_send() or first_unsent(). The record stays until it is popped.
  void mark_sent(Record& record);
  // The oldest sent record has been answered.
  void pop_sent();
  // Nothing of the oldest sent record was carried out: it waits again, behind all others.
  void send_again();
  // Sent records are in doubt: they will be sent again.
  void unsend();
  // The owner puts in no more. Its unsent records become the heir's, which is of the same user, and
  // go in the heir's turns.
  void leave(Owner owner, Owner heir);
  // Whether this owner has so much in the lane that it should wait before it puts in more. That
  // begins at three quarters of its share, or of its part of the lane, and ends at half of that.
  // All users with events here have equal parts, and so have the owners of one user; one more part
  // stays free.
  bool crowded(Owner owner) const;
  // Whether an owner is no longer crowded since the last call.
  bool take_relief() { return std::exchange(relief_, false); }

  size_t size() const { return size_; }
  size_t bytes() const { return bytes_ + chunks_.wasted(); }
  size_t allocated() const { return chunks_.allocated(); }
  uint64_t dropped() const { return dropped_; }
  // Of these, those that had waited too long; the others had no room.
  uint64_t dropped_old() const { return dropped_old_; }
  // When the latest of those that were dropped had come; 1970: none was.
  WallTime last_dropped() const { return last_dropped_; }

  bool has_gap() const { return gap_.count > 0; }
  Gap take_gap();
  void put_back(const Gap& gap) { gap_.add(gap); }

 private:
  OwnEvents& place_of(Origin origin);
  UserEvents& place_of_user(uint32_t user);
  bool fits(const OwnEvents& own, size_t size) const;
  OwnEvents* to_be_shortened(const OwnEvents& by, size_t bytes) const;
  size_t fair_part(const OwnEvents& own) const;
  void add(OwnEvents& own, size_t bytes);
  void subtract(OwnEvents& own, size_t bytes);
  void add_to_unsent(Record& record, OwnEvents& own, Record* before);
  void take_from_unsent(Record& record);
  void take_turn(OwnEvents& own);
  void drop(Record& record);
  void count_dropped(WallTime wall);
  void release(Record& record);

  EventLogLimits limits_;
  bool urgent_;
  Delegate<bool(Record&)> on_dropped_;
  Chunks chunks_;
  std::vector<std::unique_ptr<OwnEvents>> owners_;
  std::forward_list<UserEvents> users_;
  OwnEvents* last_own_ = nullptr;  // the owner of the latest record: records come many at a time
  Record* first_ = nullptr;
  Record* last_ = nullptr;
  Record* unsent_ = nullptr;        // records before this one wait for answers
  OwnEvents* turn_ = nullptr;       // the owner that has the turn; a list of the owners after it
  OwnEvents* last_turn_ = nullptr;  // of that list, if it is not empty
  size_t active_ = 0;               // users that have records
  size_t size_ = 0;
  size_t bytes_ = 0;
  size_t sent_bytes_ = 0;
  uint64_t dropped_ = 0;
  uint64_t dropped_old_ = 0;
  WallTime last_dropped_{};
  bool relief_ = false;
  Gap gap_;
};

}  // namespace nb::outbox
