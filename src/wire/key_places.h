// Where a command has its keys: the one place that knows it, for all that puts the prefix of a cell
// (redis.prefix) before them. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace nb::wire {

// Where a reply names keys.
enum class KeysInReply : uint8_t {
  none,
  page,     // SCAN: cursor, keys
  streams,  // XREAD: for each stream its key, entries
};

// The places of the keys, channels or patterns among the words of a command, its name included.
// They follow one another.
struct KeyPlaces {
  size_t first = 0;
  size_t count = 0;
  KeysInReply in_reply = KeysInReply::none;

  bool has(size_t word) const { return word >= first && word < first + count; }
};
// Of a command that the agent or `nodebeatctl redis check` knows.
KeyPlaces key_places(std::span<const std::string_view> command);

}  // namespace nb::wire
