// What the agent hands over for Redis: the latest value of a key, an entry of a stream, a message
// on a channel. What belongs to one update goes there in one transaction: all or none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace nb::outbox {

struct Field {
  std::string name;
  std::string value;
};

// The whole value of one HASH key that is the agent's own.
struct SlotWrite {
  int db = 0;
  std::string key;
  std::vector<Field> fields;
  Duration ttl{};  // set anew at each write; 0: the key does not expire
  // Ask for the first field as it stood before: who else writes this key?
  bool echo = false;
};

struct StreamEntry {
  int db = 0;
  std::string stream;
  uint64_t max_length = 0;  // approximate (MAXLEN ~); 0: unbounded
  std::vector<Field> fields;
};

struct Message {
  std::string channel;
  std::string payload;
  // Older than this when it could go out, it is not published any more: a late emergency stop is
  // worse than none. Duration::max(): it stays true however late.
  Duration max_age = std::chrono::seconds(5);
};

// Ordered, unlike a slot: no later one replaces it.
struct Event {
  std::optional<StreamEntry> entry;
  std::optional<Message> message;
};

}  // namespace nb::outbox
