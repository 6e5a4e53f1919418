// SlotShares: how much each client takes of the room for values whose keys clients choose
// (`limited` slots).
//
// A value that waits for Redis was acknowledged and is never given up, so values are bounded when
// they come. Each client has a share. Three quarters of the room are for any client; the rest is
// for clients with little waiting, so no number of clients can take all of the room from the
// others. What a client leaves behind when it goes no longer counts as its own. In the rest,
// however, it counts against later clients of the same user, or connections that come and go would
// fill the rest as well.
//
// A value that Redis has answered is kept only to be written again after a loss of data. Such
// values make room for others: first those of the client that puts something in, if it has more
// than its share here, else those of the client that has most of them. Of these the value that
// Redis confirmed first goes first.
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
  size_t client_bytes = 1 * 1024 * 1024;  // of one client's slots that wait for Redis

  // No value may be larger.
  size_t share() const { return std::min(client_bytes, bytes); }
  // How much may wait in all, for clients that have more than little() waiting.
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
  // A client, or all clients of one user that have gone.
  struct Holder {
    Owner owner = 0;
    uint32_t user = 0;
    bool gone = false;
    bool crowded = false;
    size_t inherited = 0;  // bytes that its user's gone clients had waiting when it came
    size_t waiting = 0;    // bytes of the slots that Redis has not answered
    size_t kept_bytes = 0;
    size_t bytes = 0;  // of all its slots
    List kept;         // slots that can be forgotten, the first one first
    List others;
  };
  // How a slot counts. A slot is in one of its holder's lists.
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

  // A client that has not been announced counts as one of user 0.
  void client_came(Owner owner, uint32_t user);
  void client_gone(Owner owner);

  // Whether a value of `size` bytes may be put in place of `old`, which may be null. A value that
  // does not grow is always accepted: a limit may have been lowered.
  Put may_put(const Slot* old, size_t size, Owner owner);
  // Whether `size` bytes have room in place of `old` without anything else being erased.
  bool has_room(const Slot* old, size_t size) const;
  // The slot that has to be erased so that `size` more bytes have room. Null if there is room.
  Slot* to_be_forgotten(size_t size, Owner owner);

  // The slot has been put, or its state has changed: it counts with so many bytes. Without `owner`
  // it stays its holder's, if it has one.
  void count(Slot& slot, size_t bytes, Owner owner);
  void count(Slot& slot, size_t bytes);
  void forget(Slot& slot);

  // Whether this client has so much waiting that it should wait: as EventLog::crowded().
  bool crowded(Owner owner) const;
  // Whether an owner is no longer crowded since the last call.
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
  mutable Holder* last_ = nullptr;  // the last that was looked up: a client puts many at a time
  // The holder that has most that can be forgotten, to a factor of two. It is looked for again when
  // half of what it had is gone.
  Holder* largest_ = nullptr;
  size_t largest_until_ = 0;
  size_t active_ = 0;  // holders that have something waiting
  size_t bytes_ = 0;
  size_t waiting_ = 0;
  size_t kept_bytes_ = 0;
  bool relief_ = false;
};

}  // namespace nb::outbox
