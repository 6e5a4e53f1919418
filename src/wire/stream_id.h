// StreamId: the id of a stream's entry, "1700000000000-0": when Redis took it, in milliseconds
// since 1970, and a number within that millisecond. Within a stream each entry has a higher one
// than the entries before, also when the server's clock is set back. Pure.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/text.h"

namespace nb::wire {

struct StreamId {
  uint64_t ms = 0;
  uint64_t number = 0;

  auto operator<=>(const StreamId&) const = default;

  // The highest id below it; 0-0 has none.
  StreamId before() const {
    if (number > 0) return {ms, number - 1};
    return ms > 0 ? StreamId{ms - 1, UINT64_MAX} : StreamId{};
  }
  // When Redis took it; a writer may name any number.
  WallTime time() const {
    constexpr uint64_t kYear10000 = 253'402'300'800'000;
    return WallTime(std::chrono::milliseconds(std::min(ms, kYear10000 - 1)));
  }
  std::string text() const { return std::to_string(ms) + '-' + std::to_string(number); }
};

inline std::optional<StreamId> parse_stream_id(std::string_view text) {
  const size_t dash = text.find('-');
  if (dash == text.npos) return std::nullopt;
  const auto ms = parse_number<uint64_t>(text.substr(0, dash));
  const auto number = parse_number<uint64_t>(text.substr(dash + 1));
  return ms && number ? std::optional(StreamId{*ms, *number}) : std::nullopt;
}

// The same, or the milliseconds alone: then it is the first id of that millisecond.
inline std::optional<StreamId> parse_stream_start(std::string_view text) {
  if (const auto ms = parse_number<uint64_t>(text)) return StreamId{*ms, 0};
  return parse_stream_id(text);
}

}  // namespace nb::wire
