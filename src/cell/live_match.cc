#include "cell/live_match.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace nb::cell {
namespace {

size_t hash_of(std::string_view channel, std::string_view payload) {
  const std::hash<std::string_view> hash;
  return hash(payload) * 31 + hash(channel);
}

}  // namespace

template <class Item>
size_t LiveMatch::Queue<Item>::find(size_t hash) const {
  size_t at = first;
  while (at < items.size() && (items[at].done || items[at].hash != hash)) ++at;
  return at;
}

template <class Item>
void LiveMatch::Queue<Item>::finish(size_t at) {
  items[at].done = true;
  while (first < items.size() && items[first].done) items[first++] = Item{0, true};
  if (first == items.size()) {
    items.clear();
    first = 0;
  } else if (first >= kMostEntries) {
    items.erase(items.begin(), items.begin() + static_cast<ptrdiff_t>(first));
    first = 0;
  }
}

bool LiveMatch::hold(std::string_view channel, std::string_view payload, uint64_t look,
                     MonoTime now, bool repeated) {
  while (!entries_.empty() && now - entries_.items[entries_.first].read > kRemembered) {
    entries_.finish(entries_.first);
  }
  const size_t hash = hash_of(channel, payload);
  if (const size_t at = entries_.find(hash); at < entries_.items.size()) {
    entries_.finish(at);
    return false;
  }
  held_.items.push_back({hash, false, repeated, look, std::string(channel), std::string(payload)});
  held_bytes_ += payload.size();
  while (held_.size() > kMostHeld || (held_bytes_ > kMostHeldBytes && held_.size() > 1)) {
    if (given_up_.size() >= kMostEntries) {
      overflowed_ = true;
      given_up_.finish(given_up_.first);
    }
    const Message& oldest = held_.items[held_.first];
    given_up_.items.push_back({oldest.hash, false, oldest.look, now});
    pop();
  }
  return true;
}

void LiveMatch::on_entry(std::string_view channel, std::string_view payload, Duration age,
                         MonoTime now) {
  const size_t hash = hash_of(channel, payload);
  if (age <= kKnown) {
    if (known_.size() < kMostEntries) known_.push_back({});
    known_[next_known_] = {hash, now};
    next_known_ = (next_known_ + 1) % kMostEntries;
  }
  if (const size_t at = held_.find(hash); at < held_.items.size()) {
    held_bytes_ -= held_.items[at].payload.size();
    return held_.finish(at);
  }
  if (const size_t at = given_up_.find(hash); at < given_up_.items.size()) {
    return given_up_.finish(at);
  }
  if (age > kRemembered) return;
  if (entries_.size() >= kMostEntries) entries_.finish(entries_.first);
  entries_.items.push_back({hash, false, 0, now});
}

const LiveMatch::Message* LiveMatch::unrecorded(uint64_t look, MonoTime now) {
  while (!held_.empty()) {
    const Message& oldest = held_.items[held_.first];
    if (oldest.look >= look) break;
    const auto is_its = [&](const Known& known) {
      return known.hash == oldest.hash && now - known.read <= kKnown;
    };
    if (!oldest.repeated || std::none_of(known_.begin(), known_.end(), is_its)) return &oldest;
    pop();
  }
  return nullptr;
}

void LiveMatch::pop() {
  held_bytes_ -= held_.items[held_.first].payload.size();
  held_.finish(held_.first);
}

bool LiveMatch::take_lost(uint64_t look) {
  bool lost = std::exchange(overflowed_, false);
  while (!given_up_.empty() && given_up_.items[given_up_.first].look < look) {
    lost = true;
    given_up_.finish(given_up_.first);
  }
  return lost;
}

}  // namespace nb::cell
