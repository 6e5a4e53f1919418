// The words of a lease (nodebeat:lease:{node}) and of the watch (nodebeat:watch). Each is one line
// of words with single spaces between them. A later version may add words at the end, which are
// ignored. The parsed views point into the text. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nb::wire {

inline constexpr size_t kLeaseBytes = 384;  // a longer one is malformed; so is a longer watch
// Of GETRANGE, from 0 on: with one byte more than a lease has, a longer one is seen to be that.
inline constexpr std::string_view kLeaseEnd = "384";
static_assert(kLeaseBytes == 384);

// BOOT_ID INSTANCE SEQ INTERVAL_MS PATIENCE_MS
struct Lease {
  std::string_view boot_id;  // empty where the kernel has none: written as "-"
  std::string_view instance;
  uint64_t seq = 0;  // one more with each renewal
  uint32_t interval_ms = 0;
  // How long the lease may stay unchanged. 0: the agent has stopped, has given its reason itself,
  // and no watcher waits for its next renewal.
  uint32_t patience_ms = 0;
};

// Nothing if the text is malformed. An interval is 250 ms to an hour. A patience is 0; or 1 s to an
// hour, and no shorter than the interval. With a shorter patience every watcher would read more
// often, and the node would be lost whenever anything is late.
std::optional<Lease> parse_lease(std::string_view text);
// Replaces `out`.
void print_lease(const Lease& lease, std::string& out);

// NODE INSTANCE TERM SEQ LOOKED_AT_MS LAG_MS
struct Watch {
  std::string_view node;  // the holder
  std::string_view instance;
  uint64_t term = 0;  // one more with each taking over
  uint64_t seq = 0;   // one more with each renewal
  // For people and for doctor, never for a judgement: the holder's wall clock when its last read of
  // the leases ended, in ms since 1970, 0 before the first; and the lateness of its last reads.
  uint64_t looked_at_ms = 0;
  uint32_t lag_ms = 0;
};

std::optional<Watch> parse_watch(std::string_view text);
void print_watch(const Watch& watch, std::string& out);
// "NODE INSTANCE TERM ": every watch of one term begins with it, and no other does. The scripts
// compare it, so that a renewal whose answer was lost does not end the term.
std::string_view watch_term_of(std::string_view watch);

}  // namespace nb::wire
