// KnownNode: what was read of one node of the cell, and what is made of it: whether it is up, since
// when, and how that is known. Pure.
//
// Nothing is taken from another computer's clock but texts to show. A lease is judged by its change
// from one look to the next, against the monotonic clock; where there was one look only, by what
// the watcher of the cell has announced.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "json/writer.h"

namespace nb::fleet {

enum class NodeState : uint8_t {
  unknown,  // nothing tells
  up,
  suspect,  // its lease was not renewed for two thirds of its patience
  down,
};
enum class NodeSource : uint8_t { own, lease, health };
std::string_view name(NodeState state);

struct KnownNode {
  // What was read.
  std::string health;               // JSON; empty: none, or `left_out`
  std::string last_seen;            // bare timestamp; empty: unknown
  std::string reason;               // of a health that says that the node is not reachable
  std::optional<WallTime> told_at;  // when that health was written, by its writer's clock
  uint64_t health_digest = 0;       // 0: it has none
  uint64_t lease = 0;               // a digest of its words; 0: it has none that is right
  uint32_t patience_ms = 0;
  bool reachable = false;      // as its health says
  bool lease_refused = false;  // its health says that Redis does not take its lease
  bool marked = false;         // it was announced as lost, with this very lease
  bool own = false;            // the agent's own node, of which nothing is read
  bool registered = false;     // in nodebeat:nodes
  bool had_health = false;     // now, or when it was looked at before
  bool looked_at = false;
  bool left_out = false;   // its health is known, but there was no room to keep it
  bool too_long = false;   // what stands there is too long for a health
  bool no_health = false;  // what stands there is none, or may not be read
  bool gone = false;       // only a key named it, and the key is gone
  uint64_t server = 0;     // which was asked, as Fleet::server() numbers them
  MonoTime asked{};        // for the lease, or else for the health
  MonoTime answered = MonoTime::min();

  // What is made of it.
  NodeState state = NodeState::unknown;
  NodeSource source = NodeSource::health;
  bool has_changed = false;       // this agent has seen what it goes by change
  MonoTime changed{};             // when it has seen it first as it is
  std::optional<WallTime> since;  // when the state began, as far as that is known
  std::string cause;              // why it is not up; empty: it is

  bool has_health() const { return health_digest != 0; }
  bool counts_as_online() const { return state == NodeState::up || state == NodeState::suspect; }
};

// Of any text; never 0.
uint64_t digest_of(std::string_view text);

// The words of its lease, and the digest of those with which it was announced as lost (0: none).
void take_lease(KnownNode& node, std::string_view text, uint64_t mark);
// What stands there for its health; empty: nothing. False: it is none.
bool take_health(KnownNode& node, std::string_view text);
// When a health says that its node has beaten last; nothing if it does not tell.
std::optional<WallTime> last_beat(std::string_view health);

// What is known besides of what was read.
struct Circumstances {
  bool is_watched = false;  // somebody watches the leases of the cell
  WallTime wall{};
};
// What is made of what was read. `before`: the same node at the last look; null: there was none.
// If another server was asked then, that one may have had newer leases: patience begins anew.
void judge(KnownNode& node, const KnownNode* before, const Circumstances& now);

// The members of an object that the caller has begun and ends: state, since, age_ms (only with
// `now`), source, cause. `lost_since`: Redis cannot be read since then, so nothing is known but of
// the agent's own node.
void append_standing(const KnownNode& node, std::optional<WallTime> lost_since,
                     std::optional<MonoTime> now, json::Writer& json);

}  // namespace nb::fleet
