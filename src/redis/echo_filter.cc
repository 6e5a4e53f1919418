#include "redis/echo_filter.h"

#include <algorithm>
#include <cstring>

namespace nb::redis {
namespace {

constexpr Duration kRemembered = std::chrono::seconds(30);
constexpr uint16_t kSendings = 4096;
constexpr uint16_t kNodes = 8192;  // messages, and the ways they came back by
constexpr uint16_t kBuckets = 4096;
constexpr uint16_t kNone = 0;  // node 0 is not used

// Eight bytes a step. Not safe against an attacker that searches for collisions.
uint64_t hash(std::string_view text, uint64_t seed) {
  uint64_t h = seed ^ (text.size() * 0x9e3779b97f4a7c15u);
  const auto mix = [&](uint64_t word) {
    h = (h ^ word) * 0xff51afd7ed558ccdu;
    h ^= h >> 32;
  };
  while (!text.empty()) {
    uint64_t word = 0;
    const size_t n = std::min(text.size(), sizeof word);
    std::memcpy(&word, text.data(), n);
    mix(word);
    text.remove_prefix(n);
  }
  mix(0);
  return h;
}

}  // namespace

struct EchoFilter::Table {
  // A message, or under it a way in.
  struct Node {
    uint64_t key;
    uint32_t count;    // of a message: times it went out, ever; of a way: times it came back
    uint32_t expired;  // of a message: of these so many are too long ago
    uint16_t next;     // in its bucket; of a way: of the same message; in the list of free ones
    uint16_t ways;     // of a message: the first
  };
  struct Sending {
    int64_t at;  // not a MonoTime, whose constructor would touch every page
    uint16_t message;
  };

  uint16_t* find_link(uint64_t key) {
    uint16_t* link = &buckets[key % kBuckets];
    while (*link != kNone && nodes[*link].key != key) link = &nodes[*link].next;
    return link;
  }
  uint16_t take_node(uint64_t key);
  void give_back(uint16_t index);
  void forget_oldest();
  void forget_old(MonoTime now) {
    while (size > 0 && now - MonoTime(Duration(sendings[first].at)) > kRemembered) forget_oldest();
  }
  bool full() const { return free == kNone && fresh == kNodes; }

  // Not initialised where not yet used: an untouched page costs nothing.
  Node nodes[kNodes];
  Sending sendings[kSendings];
  uint16_t buckets[kBuckets];
  uint16_t first;
  uint16_t size;
  uint16_t free;
  uint16_t fresh;  // from here on no node was ever used
};

uint16_t EchoFilter::Table::take_node(uint64_t key) {
  uint16_t index = free;
  if (index != kNone) {
    free = nodes[index].next;
  } else {
    index = fresh++;
  }
  nodes[index] = {key, 0, 0, kNone, kNone};
  return index;
}

void EchoFilter::Table::give_back(uint16_t index) {
  nodes[index].next = free;
  free = index;
}

void EchoFilter::Table::forget_oldest() {
  const uint16_t index = sendings[first].message;
  first = static_cast<uint16_t>((first + 1) % kSendings);
  --size;
  Node& message = nodes[index];
  if (++message.expired < message.count) return;
  *find_link(message.key) = message.next;
  for (uint16_t way = message.ways; way != kNone;) {
    const uint16_t next = nodes[way].next;
    give_back(way);
    way = next;
  }
  give_back(index);
}

EchoFilter::EchoFilter() = default;
EchoFilter::~EchoFilter() = default;

void EchoFilter::clear() {
  table_.reset();
}

void EchoFilter::sent(std::string_view channel, std::string_view payload, MonoTime now) {
  if (table_ == nullptr) {
    table_ = std::make_unique_for_overwrite<Table>();
    std::memset(table_->buckets, 0, sizeof table_->buckets);
    table_->first = table_->size = 0;
    table_->free = kNone;
    table_->fresh = 1;
  }
  Table& table = *table_;
  table.forget_old(now);
  while (table.size == kSendings || (table.full() && table.size > 0)) table.forget_oldest();
  const uint64_t key = hash(payload, hash(channel, 1));
  uint16_t* link = table.find_link(key);
  if (*link == kNone) *link = table.take_node(key);
  ++table.nodes[*link].count;
  table.sendings[(table.first + table.size++) % kSendings] = {now.time_since_epoch().count(),
                                                              *link};
}

bool EchoFilter::is_echo(std::string_view channel, std::string_view payload, MonoTime now,
                         std::string_view pattern) {
  if (table_ == nullptr) return false;
  Table& table = *table_;
  table.forget_old(now);
  const uint16_t index = *table.find_link(hash(payload, hash(channel, 1)));
  if (index == kNone) return false;
  Table::Node& message = table.nodes[index];
  const uint64_t key = hash(pattern, 2);
  uint16_t* link = &message.ways;
  while (*link != kNone && table.nodes[*link].key != key) link = &table.nodes[*link].next;
  if (*link == kNone) {
    while (table.full() && table.sendings[table.first].message != index) table.forget_oldest();
    // No room to count: better one message too few than an echo.
    if (table.full()) return true;
    *link = table.take_node(key);
  }
  Table::Node& way = table.nodes[*link];
  way.count = std::max(way.count, message.expired);
  if (way.count >= message.count) return false;
  ++way.count;
  return true;
}

}  // namespace nb::redis
