// The updates that the agent hands over for Redis: the latest value of a key, an entry of a stream,
// a message on a channel. These are views; Outbox::put() copies their data. The parts of one update
// go to Redis in one transaction: all or none.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/clock.h"

namespace nb::outbox {

// A caller that wants to know the outcome of its update; 0: none.
using Waiter = uint64_t;
// The owner of an update: a client's number, or 0 for the agent itself. Each owner's waiting
// updates are bounded.
using Owner = uint64_t;

// Where an update comes from.
struct Origin {
  Owner owner = 0;
  uint32_t user = 0;  // of the client; the agent's own updates are no user's
  // The event goes in the lane for events that a flood must neither delay nor displace: errors,
  // starts and ends of sessions, wills, the robot's state, and the agent's own events about its
  // node.
  bool urgent = false;
};

struct FieldView {
  std::string_view name;
  std::string_view value;
};

enum class SlotKind : uint8_t {
  hash,    // HSET of all fields, and PEXPIRE if there is a TTL
  string,  // SET of the one field's value, with PX if there is a TTL
  remove,  // DEL
  expire,  // PEXPIRE of a key that something else writes; no fields
};

// The whole value of one key.
struct SlotUpdate {
  int db = 0;
  std::string_view key;
  SlotKind kind = SlotKind::hash;
  std::span<const FieldView> fields;  // of a string one, its name empty
  // 0: the key does not expire. A hash gets its TTL again at each write. A string's TTL counts from
  // put() on, so a value that is written again later gets only the rest.
  Duration ttl{};
  // For a hash with a TTL that is written often: the TTL is set again only after this time.
  Duration renew{};
  bool echo = false;    // of a hash: ask for the first field as it was before, and report it
  bool forget = false;  // once stored, the value is not written again after an outage
  bool limited =
      false;  // counts against its client's share: keys that clients choose, and deletions
  // Other nodes write this key as well. A confirmed value is written again only if the server has
  // lost data, and then only if the key is missing.
  bool shared = false;
};

struct EntryUpdate {
  int db = 0;
  std::string_view stream;
  uint64_t max_length = 0;  // approximate (MAXLEN ~); 0: unbounded
  std::span<const FieldView> fields;
  // About how many bytes the stream may hold: a stream of large entries keeps fewer of them. 0: any
  // number.
  uint64_t max_bytes = 0;
  Duration ttl{};  // of the stream, renewed while entries come; 0: the stream does not expire
  // One of a row of values, such as the node's health: Redis gives it an id, and stores it twice if
  // its confirmation is lost.
  bool sample = false;
};

// The id of an entry in its stream: milliseconds since 1970, and a number. 0 ms: Redis chooses.
struct EntryId {
  uint64_t ms = 0;
  uint32_t number = 0;

  bool is_given() const { return ms != 0; }
};

struct MessageUpdate {
  std::string_view channel;
  std::string_view payload;
  // A message that is older than this when it could go out is not published: a late emergency stop
  // is worse than none. Duration::max(): the message is published however late.
  Duration max_age = std::chrono::seconds(5);
};

enum class Put : uint8_t {
  accepted,
  full,        // there is no room for a limited slot; nothing was taken
  share_full,  // the owner's share has no room for a limited slot; nothing was taken
  too_large,   // the update would never fit; nothing was taken
};

enum class Outcome : uint8_t {
  stored,
  refused,  // by Redis
  dropped,  // given up unsent: too old, displaced for lack of room, or expired
};

// Redis' words for each part of an update that it has refused for good. They are empty for a part
// that was carried out, or that the update does not have.
struct Refusals {
  std::string_view value;
  std::string_view entry;
  std::string_view message;

  bool any() const { return !value.empty() || !entry.empty() || !message.empty(); }
  // The first words that are not empty.
  std::string_view words() const {
    return !value.empty() ? value : !entry.empty() ? entry : message;
  }
};

struct Settled {
  Waiter waiter = 0;
  // `refused` if the main part was refused: the value; without a value the message; without a
  // message to publish the entry.
  Outcome outcome = Outcome::stored;
  bool entry_refused = false;  // of a `stored` update: this part was refused
  bool message_refused = false;
  std::string_view words;    // Redis' words of the refusal; valid during the call
  int64_t subscribers = -1;  // how many PUBLISH reached; -1: nothing was published
};

}  // namespace nb::outbox
