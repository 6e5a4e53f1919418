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
  items[at] = Item{0, true};
  while (first < items.size() && items[first].done) ++first;
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
  held_.items.push_back(
      {hash, false, repeated, look, std::string(channel), std::string(payload), MonoTime::min()});
  held_bytes_ += payload.size();
  while (held_.size() > kMostHeld || (held_bytes_ > kMostHeldBytes && held_.size() > 1)) {
    if (given_up_.size() >= kMostEntries) {
      overflowed_ = true;
      given_up_.finish(given_up_.first);
    }
    const Message& oldest = held_.items[held_.first];
    given_up_.items.push_back({oldest.hash, false, oldest.look, now});
    drop(held_.first);
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
  if (const size_t at = held_.find(hash); at < held_.items.size()) return drop(at);
  if (const size_t at = given_up_.find(hash); at < given_up_.items.size()) {
    return given_up_.finish(at);
  }
  if (age > kRemembered) return;
  if (entries_.size() >= kMostEntries) entries_.finish(entries_.first);
  entries_.items.push_back({hash, false, 0, now});
}

void LiveMatch::on_outage() {
  for (Message& message : held_.items) message.not_before = MonoTime::max();
}

void LiveMatch::on_recovery(MonoTime now) {
  for (Message& message : held_.items) {
    if (message.not_before == MonoTime::max()) message.not_before = now + kStoredAnew;
  }
}

const LiveMatch::Message* LiveMatch::unrecorded(uint64_t look, MonoTime now) {
  for (size_t at = held_.first; at < held_.items.size();) {
    const Message& message = held_.items[at];
    if (message.look >= look && !message.done) break;
    if (message.done || message.not_before > now) {
      ++at;
      continue;
    }
    const auto is_its = [&](const Known& known) {
      return known.hash == message.hash && now - known.read <= kKnown;
    };
    if (!message.repeated || std::none_of(known_.begin(), known_.end(), is_its)) return &message;
    drop(at);
    at = held_.first;
  }
  return nullptr;
}

void LiveMatch::pop(const Message& message) {
  drop(static_cast<size_t>(&message - held_.items.data()));
}

void LiveMatch::remember_told(const Message& message) {
  if (told_.size() >= kMostEntries) told_.finish(told_.first);
  told_.items.push_back({message.hash, false, 0, {}});
}

bool LiveMatch::take_told(std::string_view channel, std::string_view payload) {
  if (told_.empty()) return false;
  const size_t at = told_.find(hash_of(channel, payload));
  const bool is_told = at < told_.items.size();
  if (is_told) told_.finish(at);
  return is_told;
}

MonoTime LiveMatch::next_due() const {
  MonoTime due = MonoTime::max();
  for (const Message& message : held_.items) {
    const bool waits = !message.done && message.not_before != MonoTime::min();
    if (waits) due = std::min(due, message.not_before);
  }
  return due;
}

void LiveMatch::drop(size_t at) {
  held_bytes_ -= held_.items[at].payload.size();
  held_.finish(at);
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
