// What the agent hands over for Redis: the latest value of a key, an entry of a stream, a message
// on a channel. Views only: they are copied by Outbox::put, and what belongs to one update goes to
// Redis in one transaction: all or none.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/clock.h"

namespace nb::outbox {

// Who waits to hear that an update was stored; 0: nobody.
using Waiter = uint64_t;
// Whose update it is: a client's number; 0: the agent's own. What waits is bounded for each.
using Owner = uint64_t;

// Where an update comes from.
struct Origin {
  Owner owner = 0;
  // Its event goes in the lane for what must not be held up or pushed out by a flood: errors,
  // starts and ends of sessions, wills, the robot's state, what the agent tells of its node.
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
  // 0: the key does not expire. Of a hash: set anew at each write. Of a string: counted from put()
  // on, so that a value that is written again later gets only what is left.
  Duration ttl{};
  // Of a hash with a TTL that is written often: the TTL is set anew only so long after it last was.
  Duration renew{};
  bool echo = false;     // of a hash: ask for the first field as it stood before, and tell
  bool forget = false;   // once stored it is not ours to write again after an outage
  bool limited = false;  // has its limits: keys that others choose, deletions too
  // Other nodes write this key too: once its value is confirmed it is written again only if the
  // server has lost data, and then only if the key is missing.
  bool shared = false;
};

struct EntryUpdate {
  int db = 0;
  std::string_view stream;
  uint64_t max_length = 0;  // approximate (MAXLEN ~); 0: unbounded
  std::span<const FieldView> fields;
  // About how many bytes the stream may hold: of large entries it keeps fewer. 0: any number.
  uint64_t max_bytes = 0;
  Duration ttl{};  // of the stream, renewed while entries come; 0: it does not expire
};

struct MessageUpdate {
  std::string_view channel;
  std::string_view payload;
  // Older than this when it could go out, it is not published any more: a late emergency stop is
  // worse than none. Duration::max(): it stays true however late.
  Duration max_age = std::chrono::seconds(5);
};

enum class Put : uint8_t {
  accepted,
  full,        // no room for a limited slot: nothing was taken
  share_full,  // the same, of this owner's
  too_large,   // would never fit: nothing was taken
};

enum class Outcome : uint8_t {
  stored,
  refused,  // Redis said no
  dropped,  // given up unsent: by age, for want of room, or expired
};

// Which parts of an update Redis has refused for good: its words for each, empty where the part was
// carried out or where there is none.
struct Refusals {
  std::string_view value;
  std::string_view entry;
  std::string_view message;

  bool any() const { return !value.empty() || !entry.empty() || !message.empty(); }
  // The first there is.
  std::string_view words() const {
    return !value.empty() ? value : !entry.empty() ? entry : message;
  }
};

struct Settled {
  Waiter waiter = 0;
  // `refused` if the main part was: the value; of an update without a value the message; the entry
  // where nothing was to be published.
  Outcome outcome = Outcome::stored;
  bool entry_refused = false;  // of what is `stored`: this part was not
  bool message_refused = false;
  std::string_view words;    // of a refusal: Redis' own; valid during the call
  int64_t subscribers = -1;  // that PUBLISH reached; -1: nothing was published
};

}  // namespace nb::outbox
