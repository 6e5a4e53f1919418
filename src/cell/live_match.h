// LiveMatch: of channels whose recorded events are read from the streams, which live messages are
// in no stream and have to be delivered as they came. Redis marks neither, but an entry is written
// before its message is published. So a message is not recorded if it is in no stream when all of
// them have been read by a look that began after the message came.
//
// The two are compared by their bytes, and counted. An entry may be read before its message comes,
// so entries are remembered for 30 s. A message that was not recorded is lost only if it has the
// bytes of such an entry whose message never came. An agent whose link broke may publish the
// message of an entry once more, as late as it keeps events, and marks it (wire/repeated.h): the
// last entries are known for that long.
//
// After an outage the server may have lost the entry of a message that it still sent. The event's
// agent stores such an entry anew, unless it was told that the entry is stored. So what is held
// when the outage begins waits for its entry for some seconds longer.
//
// While a stream cannot be read, its messages are delivered as if they were in none. They are
// remembered, so that their entries are not delivered once more when it can be read again. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace nb::cell {

class LiveMatch {
 public:
  // So much is held for one replay at most. Beyond it the oldest messages are given up, but known
  // still: if they turn out to be recorded, nothing is lost.
  static constexpr size_t kMostHeld = 512;
  static constexpr size_t kMostHeldBytes = 64 * 1024;
  static constexpr size_t kMostEntries = 4096;
  static constexpr Duration kRemembered = std::chrono::seconds(30);
  static constexpr Duration kKnown = std::chrono::minutes(10);
  // After this time the other agents have reconnected and have written the unconfirmed data.
  static constexpr Duration kStoredAnew = std::chrono::seconds(10);

  struct Message {
    size_t hash = 0;
    bool done = false;
    bool repeated = false;  // it may be an entry's second one
    uint64_t look = 0;      // the last read that had begun when the message came
    std::string channel, payload;
    MonoTime not_before = MonoTime::min();  // its entry may be stored until then
  };

  // A live message came, after `looks` reads had begun. False: its entry was read already.
  bool hold(std::string_view channel, std::string_view payload, uint64_t look, MonoTime now,
            bool repeated = false);
  // An entry was read that is so old. Its message may be on its way still, or come once more.
  void on_entry(std::string_view channel, std::string_view payload, Duration age, MonoTime now);
  // The connection by which messages come has broken; they come again.
  void on_outage();
  void on_recovery(MonoTime now);
  // The oldest message that came before this read began, and is no entry's second one; or null.
  // Messages whose entry may still be stored again are passed over.
  const Message* unrecorded(uint64_t look, MonoTime now);
  void pop(const Message& message);
  // It was delivered, though it may be in a stream that cannot be read now.
  void remember_told(const Message& message);
  // Whether an entry that was read is one of these. Each counts once.
  bool take_told(std::string_view channel, std::string_view payload);
  // All streams can be read again.
  void forget_told() { told_ = {}; }
  // When the first of those is due that are passed over; max(): there is none, or no recovery yet.
  MonoTime next_due() const;
  // Messages were given up, and not all of them have turned out to be recorded.
  bool has_given_up() const { return overflowed_ || !given_up_.empty(); }
  // Whether some messages from before this read are certainly lost. They are forgotten.
  bool take_lost(uint64_t look);

 private:
  struct Entry {
    size_t hash = 0;
    bool done = false;
    uint64_t look = 0;
    MonoTime read{};
  };
  struct Known {
    size_t hash;
    MonoTime read;
  };
  // A queue of which some in the middle are done.
  template <class Item>
  struct Queue {
    std::vector<Item> items;
    size_t first = 0;  // all before it are done

    bool empty() const { return first == items.size(); }
    size_t size() const { return items.size() - first; }
    // Its place; `first` + size() if there is none.
    size_t find(size_t hash) const;
    void finish(size_t at);
  };

  void drop(size_t at);

  Queue<Message> held_;
  size_t held_bytes_ = 0;
  Queue<Entry> given_up_;
  bool overflowed_ = false;  // more than are known still
  Queue<Entry> entries_;
  Queue<Entry> told_;
  std::vector<Known> known_;  // a ring
  size_t next_known_ = 0;
};

}  // namespace nb::cell
