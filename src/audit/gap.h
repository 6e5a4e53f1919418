// Whether entries left the stream unread: the stream is bounded. Pure.
//
// Redis reports how many entries a stream ever had and how many it still has, so the first one's
// number is known. Its own count of a group's reads is too small in Redis 7.0 if entries were
// trimmed before the group read them: it is only a lower limit.
#pragma once

#include <cstdint>
#include <optional>

#include "wire/stream_id.h"

namespace nb::audit {

// A stream and our group of it, looked at together with the reading of new entries, just before it.
struct StreamFacts {
  uint64_t added = 0;        // entries that it ever had
  uint64_t length = 0;       // that it has
  wire::StreamId first;      // 0-0 if it is empty
  wire::StreamId last;       // the highest id that it ever had
  wire::StreamId delivered;  // to the group, the last one
  uint64_t read = 0;         // by the group, at least; 0: not known
};

// All entries up to `id` have been read, or counted as lost.
struct Place {
  wire::StreamId id;
  std::optional<uint64_t> count;  // how many the stream ever had up to `id`; nothing: not known

  bool operator==(const Place&) const = default;
};

struct Gap {
  wire::StreamId after, before;   // between these two; `before` 0-0: the stream is empty
  std::optional<uint64_t> count;  // nothing: not known

  bool operator==(const Gap&) const = default;
};

struct Progress {
  std::optional<Gap> gap;
  Place place;  // after the reading
};

// `known`: the place that was stored last; at the very first, {0-0, 0}. `read` new entries were
// read, the last with the id `last_read`; `all`: there are no more.
Progress look_for_gap(const Place& known, const StreamFacts& facts, uint64_t read,
                      wire::StreamId last_read, bool all);

}  // namespace nb::audit
