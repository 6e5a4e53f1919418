// The id of an entry of a stream: "1700000000000-0". Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/text.h"

namespace nb::audit {

struct StreamId {
  uint64_t ms = 0;
  uint64_t seq = 0;

  bool operator==(const StreamId&) const = default;
  bool operator<(const StreamId& other) const {
    return ms != other.ms ? ms < other.ms : seq < other.seq;
  }

  static std::optional<StreamId> parse(std::string_view text) {
    const size_t dash = text.find('-');
    if (dash == text.npos) return std::nullopt;
    const auto ms = parse_number<uint64_t>(text.substr(0, dash));
    const auto seq = parse_number<uint64_t>(text.substr(dash + 1));
    if (!ms || !seq) return std::nullopt;
    return StreamId{*ms, *seq};
  }
  std::string text() const { return std::to_string(ms) + '-' + std::to_string(seq); }
};

}  // namespace nb::audit
