// TicketTable: entries that are found by a ticket. A ticket is never given twice, so an old ticket
// finds nothing. Places are used again, so in steady state nothing is allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace nb {

template <class T>
class TicketTable {
 public:
  using Ticket = uint64_t;  // never 0

  // `given`: as if so many tickets had been given before.
  explicit TicketTable(uint32_t given = 0) : given_(given) {}

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // A place for one more entry. The entry is as its last user left it, so that the room of its
  // texts is used again: set every member. References last until the next add().
  std::pair<Ticket, T&> add() {
    if (free_.empty()) {
      free_.push_back(static_cast<uint32_t>(places_.size()));
      places_.emplace_back();
    }
    const uint32_t index = free_.back();
    free_.pop_back();
    Place& place = places_[index];
    if (++given_ == 0) ++given_;
    place.ticket = uint64_t{given_} << 32 | index;
    ++size_;
    return {place.ticket, place.entry};
  }

  // Null if the entry was removed, and for 0.
  T* find(Ticket ticket) {
    const auto index = static_cast<uint32_t>(ticket);
    if (ticket == 0 || index >= places_.size() || places_[index].ticket != ticket) return nullptr;
    return &places_[index].entry;
  }

  void remove(Ticket ticket) {
    if (find(ticket) == nullptr) return;
    const auto index = static_cast<uint32_t>(ticket);
    places_[index].ticket = 0;
    free_.push_back(uint32_t{index});
    if (--size_ == 0 && places_.size() > kKept) {
      std::vector<Place>().swap(places_);
      std::vector<uint32_t>().swap(free_);
    }
  }

  // Calls visit(ticket, entry) for each. `visit` may remove that entry, and others.
  template <class Visit>
  void for_each(Visit visit) {
    for (size_t i = 0; i < places_.size(); ++i) {
      if (places_[i].ticket != 0) visit(places_[i].ticket, places_[i].entry);
    }
  }

 private:
  // This many places are kept when all are free: a burst must not cost memory for ever.
  static constexpr size_t kKept = 128;

  struct Place {
    Ticket ticket = 0;  // 0: free
    T entry;
  };

  std::vector<Place> places_;
  std::vector<uint32_t> free_;
  uint32_t given_;  // the upper half of a ticket; wraps after four billion
  size_t size_ = 0;
};

}  // namespace nb
