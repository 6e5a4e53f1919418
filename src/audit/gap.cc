#include "audit/gap.h"

namespace nb::audit {
namespace {

constexpr Place kBeginning = {{}, 0};

// The position of the group, before the read.
Place where_it_stands(const Place& known, const StreamFacts& facts) {
  // A stream that never had the entries of earlier reads is another one: Redis lost its data, or
  // somebody deleted the stream.
  const bool is_other = facts.last < known.id || known.count.value_or(0) > facts.added;
  const Place& from = is_other ? kBeginning : known;
  // A group that was made again begins at 0-0, and reads all entries once more.
  if (!(from.id < facts.delivered)) return from;
  return {facts.delivered,
          std::nullopt};  // another consumer has read on, or this one before it died
}

}  // namespace

Progress look_for_gap(const Place& known, const StreamFacts& facts, uint64_t read,
                      wire::StreamId last_read, bool all) {
  const Place before = where_it_stands(known, facts);
  const uint64_t trimmed = facts.added - facts.length;
  const bool behind = facts.length > 0 ? before.id < facts.first : before.id < facts.last;
  Progress out;
  if (behind && before.count.value_or(facts.read) < trimmed) {
    out.gap = Gap{before.id, facts.first, std::nullopt};
    if (before.count) out.gap->count = trimmed - *before.count;
  }
  // A group that was made again reads known entries once more: the position stays.
  out.place = before;
  if (all) {
    out.place = {facts.last, facts.added};
  } else if (before.id < last_read) {
    const bool from_first = facts.delivered < facts.first;
    out.place.id = last_read;
    out.place.count = from_first ? std::optional(trimmed + read)
                      : before.count && before.id == facts.delivered
                          ? std::optional(*before.count + read)
                          : std::nullopt;
  }
  return out;
}

}  // namespace nb::audit
