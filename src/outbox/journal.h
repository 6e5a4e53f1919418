// Journal: the seam where a log of events can be kept beyond the life of the process (a spool). The
// log works without one. Nothing here is called more than a few times an event, and no call may
// wait: a journal that writes to a disk gathers the records and writes them on another thread.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

#include "base/ring.h"

namespace nb::outbox {

struct Record;

// Names an event permanently. The sequence rises by one with each event that the log takes. Without
// a journal the instance is that of the agent's start, and the sequence begins at 1. A journal
// brings its own instance, and the log goes on behind its last sequence.
struct EventId {
  std::string_view instance;
  uint64_t sequence = 0;
};

class Journal {
 public:
  struct Start {
    EventId last;            // the last event that was ever appended; its view must stay valid
    uint64_t confirmed = 0;  // the last sequence that was confirmed
  };

  virtual ~Journal() = default;
  // Asked once, when the log begins. The journal hands back the events between the two sequences,
  // oldest first, with Outbox::put_back().
  virtual Start start() = 0;
  // The log has taken this record. The sequences rise by one. The record is valid during the call.
  virtual void append(const Record& record) = 0;
  // The log gives up this record unsent, by age or for lack of room. A journal that returns true
  // keeps the event: then the log does not count a loss, no waiter is told, and the sequence stays
  // unconfirmed. The journal hands the event back with Outbox::put_back().
  virtual bool keep_dropped(const Record& record) = 0;
  // No event up to this sequence is needed any longer: Redis has stored or refused each of them, or
  // its loss was counted. The sequences rise.
  virtual void confirm(uint64_t up_to) = 0;
};

// Which sequences are done with. Events are answered in another order than they came: owners take
// turns, and urgent events go first.
class Confirmed {
 public:
  explicit Confirmed(uint64_t up_to) : first_(up_to), up_to_(up_to) {}

  // Every sequence up to this one is.
  uint64_t up_to() const { return up_to_; }
  // Returns true if up_to() has risen. A sequence may come again, if a journal puts back what is
  // confirmed already.
  bool add(uint64_t sequence) {
    if (sequence <= up_to_) return false;
    const uint64_t place = sequence - first_ - 1;
    while (words_.size() <= place / 64) words_.push_back(0);
    words_[place / 64] |= uint64_t{1} << (place % 64);
    if (sequence != up_to_ + 1) return false;
    while (!words_.empty() && words_.front() == ~uint64_t{0}) {
      words_.pop_front();
      first_ += 64;
    }
    up_to_ = first_ + (words_.empty() ? 0 : static_cast<uint64_t>(std::countr_one(words_.front())));
    return true;
  }

 private:
  uint64_t first_;  // the sequence before the first bit
  uint64_t up_to_;
  Ring<uint64_t> words_;  // a bit for each sequence behind first_
};

}  // namespace nb::outbox
