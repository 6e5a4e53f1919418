// SlotShares: who takes how much of the room for values whose keys clients choose (`limited`
// slots).
//
// What waits for Redis was acknowledged and is never given up, so it is bounded when it comes: each
// client has a share; three quarters of the room are for whoever comes, the rest for clients with
// little waiting, so that no number of clients takes all of it from the others. What a client
// leaves behind when it goes no longer counts as its own; but in that rest it counts against
// clients of the same user that come later, or connections that come and go would fill the rest as
// well.
//
// What Redis has answered is kept only to be written again after a loss of data. Such values make
// room: those of the client that comes if it has more than its share here, else those of the client
// that has most of them; of these the one that Redis confirmed first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "outbox/update.h"

namespace nb::outbox {

struct Slot;

struct SlotLimits {
  size_t bytes = 4 * 1024 * 1024;         // of all `limited` slots, bookkeeping included
  size_t client_bytes = 1 * 1024 * 1024;  // of those of one client, what waits for Redis

  // No value may be larger.
  size_t share() const { return std::min(client_bytes, bytes); }
  // What may wait for clients that have more than little() waiting.
  size_t for_all() const { return bytes / 4 * 3; }
  // The rest is enough for 64 clients.
  size_t little() const { return (bytes - for_all()) / 64; }
};

class SlotShares {
 public:
  struct List {
    Slot* first = nullptr;
    Slot* last = nullptr;
  };
  // A client; or all of one user's that have gone.
  struct Holder {
    Owner owner = 0;
    uint32_t user = 0;
    bool gone = false;
    bool crowded = false;
    size_t inherited = 0;  // what those of its user that had gone had waiting when it came
    size_t waiting = 0;    // bytes of the slots that Redis has not answered
    size_t kept_bytes = 0;
    size_t bytes = 0;  // of all its slots
    List kept;         // those that can be forgotten, the first one first
    List others;
  };
  // What a slot counts as. A slot is in one of its holder's lists.
  struct Place {
    Holder* holder = nullptr;
    size_t bytes = 0;
    bool waits = false;
    bool kept = false;
    Slot* previous = nullptr;
    Slot* next = nullptr;
  };

  explicit SlotShares(SlotLimits limits) : limits_(limits) {}
  SlotShares(const SlotShares&) = delete;
  SlotShares& operator=(const SlotShares&) = delete;

  void set_limits(SlotLimits limits) { limits_ = limits; }
  const SlotLimits& limits() const { return limits_; }

  // A client that has not been announced is one of user 0.
  void client_came(Owner owner, uint32_t user);
  void client_gone(Owner owner);

  // Whether a value of `size` bytes is taken in place of `old`, which may be null. What does not
  // grow always is: a limit may have been lowered.
  Put may_put(const Slot* old, size_t size, Owner owner);
  // What has to be erased so that `size` more bytes have room; null if they have.
  Slot* to_be_forgotten(size_t size, Owner owner);

  // The slot has been put, or has another state than before: it counts with so many bytes. Without
  // one it is the same owner's as before, if it is anybody's.
  void count(Slot& slot, size_t bytes, Owner owner);
  void count(Slot& slot, size_t bytes);
  void forget(Slot& slot);

  // Whether this client has so much waiting that it had better wait: as EventLog::crowded().
  bool crowded(Owner owner) const;
  // Whether somebody has ceased to be crowded since this was last asked.
  bool take_relief() { return std::exchange(relief_, false); }

  size_t bytes() const { return bytes_; }
  size_t waiting() const { return waiting_; }

 private:
  Holder* find(Owner owner) const;
  Holder* find_gone(uint32_t user) const;
  Holder& holder_of(Owner owner);
  Holder* largest();
  void move(Slot& slot, Holder* to, size_t bytes);
  void enter(Slot& slot, Holder& holder, size_t bytes);
  void leave(Slot& slot);
  void look_for_crowd(Holder& holder);

  SlotLimits limits_;
  std::vector<std::unique_ptr<Holder>> holders_;
  mutable Holder* last_ = nullptr;  // who was asked for last: they come many at a time
  // Who has most that can be forgotten, to a factor of two: looked for anew when half of what it
  // had is gone.
  Holder* largest_ = nullptr;
  size_t largest_until_ = 0;
  size_t active_ = 0;  // holders that have something waiting
  size_t bytes_ = 0;
  size_t waiting_ = 0;
  size_t kept_bytes_ = 0;
  bool relief_ = false;
};

}  // namespace nb::outbox
