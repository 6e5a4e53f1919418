// KnownNode: the data that was read about one node of the cell, and the verdict: whether it is up,
// since when, and from which source. Pure.
//
// Nothing is taken from another computer's clock but texts to show. A lease is judged by its change
// from one read to the next, against the monotonic clock; after one read only, by the announcements
// of the watcher of the cell.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "json/writer.h"

namespace nb::fleet {

enum class NodeState : uint8_t {
  unknown,  // no source says it
  up,
  suspect,  // its lease was not renewed for two thirds of its patience
  down,
};
enum class NodeSource : uint8_t { own, lease, health };
std::string_view name(NodeState state);

struct KnownNode {
  // The data that was read.
  std::string health;               // JSON; empty: none, or `left_out`
  std::string last_seen;            // bare timestamp; empty: unknown
  std::string reason;               // of a health that says that the node is not reachable
  std::optional<WallTime> told_at;  // when that health was written, by its writer's clock
  uint64_t health_digest = 0;       // 0: it has none
  uint64_t lease = 0;               // a digest of its words; 0: it has none that is right
  uint32_t patience_ms = 0;
  bool reachable = false;      // as its health says
  bool lease_refused = false;  // its health says that Redis refuses its lease
  bool marked = false;         // it was announced as lost, with this very lease
  bool own = false;            // the agent's own node, of which nothing is read
  bool registered = false;     // in nodebeat:nodes
  bool had_health = false;     // now, or when it was looked at before
  bool looked_at = false;
  bool left_out = false;   // its health is known, but there was no room to keep it
  bool too_long = false;   // the text is too long for a health
  bool no_health = false;  // the text is no health, or may not be read
  bool gone = false;       // only a key named it, and the key is gone
  uint64_t server = 0;     // which was asked, as Fleet::server() numbers them
  MonoTime asked{};        // for the lease, or else for the health
  MonoTime answered = MonoTime::min();

  // The verdict.
  NodeState state = NodeState::unknown;
  NodeSource source = NodeSource::health;
  bool has_changed = false;       // this agent has seen the lease or health change
  MonoTime changed{};             // when it has seen the present value first
  std::optional<WallTime> since;  // when the state began, as far as that is known
  std::string cause;              // why it is not up; empty if it is

  bool has_health() const { return health_digest != 0; }
  bool counts_as_online() const { return state == NodeState::up || state == NodeState::suspect; }
};

// Of any text; never 0.
uint64_t digest_of(std::string_view text);

// The words of its lease, and the digest of those with which it was announced as lost (0: none).
void take_lease(KnownNode& node, std::string_view text, uint64_t mark);
// Takes the text of its health; empty: there is none. False: the text is no health.
bool take_health(KnownNode& node, std::string_view text);
// When a health says that its node has beaten last; nothing if it does not say so.
std::optional<WallTime> last_beat(std::string_view health);

// Other facts for the verdict.
struct Circumstances {
  bool is_watched = false;  // an agent watches the leases of the cell
  WallTime wall{};
};
// Makes the verdict. `before`: the same node at the previous read; null: there was none. If another
// server was asked then, that server may have had newer leases: patience begins again.
void judge(KnownNode& node, const KnownNode* before, const Circumstances& now);

// The members of an object that the caller has begun and ends: state, since, age_ms (only with
// `now`), source, cause. `lost_since`: Redis cannot be read since then, so nothing is known but of
// the agent's own node.
void append_standing(const KnownNode& node, std::optional<WallTime> lost_since,
                     std::optional<MonoTime> now, json::Writer& json);

}  // namespace nb::fleet
