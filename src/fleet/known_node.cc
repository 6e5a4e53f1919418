#include "fleet/known_node.h"

#include <algorithm>

#include "base/foreign_text.h"
#include "base/hash.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "fleet/cell_walk.h"
#include "json/view.h"
#include "wire/lease.h"

namespace nb::fleet {
namespace {

constexpr size_t kMostReason = 160;
constexpr std::string_view kStates[] = {"unknown", "up", "suspect", "down"};
constexpr std::string_view kSources[] = {"own", "lease", "health"};

std::optional<WallTime> time_in(json::View health, std::string_view name) {
  std::string scratch;
  const auto text = health[name].string(scratch);
  return text ? parse_timestamp(*text) : std::nullopt;
}

std::string not_renewed_for(Duration silent) {
  return "lease not renewed for " +
         human_duration(std::chrono::floor<std::chrono::milliseconds>(silent).count());
}

void judge_lease(KnownNode& node, bool twice, bool watched) {
  const Duration patience = std::chrono::milliseconds(node.patience_ms);
  // From the answer that showed it first to the question whose answer still shows it.
  const Duration silent = node.asked - node.changed;
  if (node.patience_ms == 0 || node.marked) {
    node.state = NodeState::down;
    node.cause = !node.reason.empty() ? node.reason : node.marked ? "lease not renewed" : "stopped";
  } else if (twice && silent >= patience && !watched) {
    node.state = NodeState::down;
    node.cause = not_renewed_for(silent) + ", and nobody watches the cell";
  } else if (twice && 3 * silent >= 2 * patience) {
    node.state = NodeState::suspect;
    node.cause = not_renewed_for(silent);
  } else if (watched || node.has_changed) {
    node.state = NodeState::up;
  } else if (node.has_health() && node.reachable) {
    // A health that is not renewed is gone soon, a lease is not.
    node.state = NodeState::up;
    node.source = NodeSource::health;
  } else {
    node.cause = "nobody is known to watch the cell";
  }
}

// A lease that the server refuses does not change while the node lives.
bool goes_by_lease(const KnownNode& node) {
  return node.lease != 0 && (node.marked || !node.lease_refused || !node.reachable);
}

void judge_health(KnownNode& node) {
  if (node.has_health()) {
    node.state = node.reachable ? NodeState::up : NodeState::down;
    if (!node.reachable) node.cause = node.reason.empty() ? "not reachable" : node.reason;
  } else if (node.too_long || node.no_health) {
    node.cause = "its health cannot be read";
  } else if (node.had_health || !node.last_seen.empty()) {
    node.state = NodeState::down;
    node.cause = "its health has expired";
  } else {
    node.cause = "not seen yet";
  }
}

}  // namespace

std::string_view name(NodeState state) {
  return kStates[static_cast<size_t>(state)];
}

uint64_t digest_of(std::string_view text) {
  return std::max<uint64_t>(hash_of(text), 1);
}

void take_lease(KnownNode& node, std::string_view text, uint64_t mark) {
  const auto lease = wire::parse_lease(text);
  node.lease = lease ? digest_of(text) : 0;
  node.patience_ms = lease ? lease->patience_ms : 0;
  node.marked = lease && node.lease == mark;
}

bool take_health(KnownNode& node, std::string_view text) {
  node.health.clear();
  node.health_digest = 0;
  node.lease_refused = false;
  node.no_health = !text.empty() && !is_health(text);
  if (text.empty() || node.no_health) return false;
  const json::View health = json::View::of(text);
  node.health_digest = digest_of(text);
  node.reachable = health["is_reachable"].boolean().value_or(true);
  node.lease_refused = health["lease_refused"].boolean().value_or(false);
  if (!node.reachable) {
    std::string scratch;
    node.reason = foreign_text(health["reason"].string(scratch).value_or(""), kMostReason);
    node.told_at = time_in(health, "timestamp");
  }
  const auto beat = last_beat(text);
  node.last_seen = beat ? format_timestamp(*beat) : std::string();
  append_compact(health, node.health);
  return true;
}

std::optional<WallTime> last_beat(std::string_view health) {
  if (health.empty()) return std::nullopt;
  return time_in(json::View::of(health), "last_heartbeat");
}

void judge(KnownNode& node, const KnownNode* before, const Circumstances& now) {
  const bool has_lease = goes_by_lease(node);
  const uint64_t digest = has_lease ? node.lease : node.health_digest;
  const uint64_t digest_before = before == nullptr || before->server != node.server ? 0
                                 : goes_by_lease(*before)                           ? before->lease
                                                          : before->health_digest;
  const bool twice = digest != 0 && digest == digest_before;
  node.changed = twice ? before->changed : node.answered;
  node.has_changed = twice ? before->has_changed : digest_before != 0;
  node.had_health = node.has_health() || (before != nullptr && before->had_health);
  if (node.last_seen.empty() && before != nullptr) node.last_seen = before->last_seen;
  node.source = has_lease ? NodeSource::lease : NodeSource::health;
  has_lease ? judge_lease(node, twice, now.is_watched) : judge_health(node);
  if (before != nullptr) {
    node.since = before->state == node.state ? before->since : now.wall;
  } else if (node.state == NodeState::down) {
    node.since = node.told_at ? node.told_at : parse_timestamp(node.last_seen);
  }
}

void append_standing(const KnownNode& node, std::optional<WallTime> lost_since,
                     std::optional<MonoTime> now, json::Writer& json) {
  const bool is_lost = lost_since.has_value() && !node.own;
  const auto since = is_lost ? lost_since : node.since;
  json.key("state").string(name(is_lost ? NodeState::unknown : node.state)).key("since");
  since ? json.string(format_timestamp(*since)) : json.null();
  if (now) json.key("age_ms");
  if (now && node.has_changed) {
    const auto age = std::chrono::floor<std::chrono::milliseconds>(*now - node.changed);
    json.integer(std::max<int64_t>(age.count(), 0));
  } else if (now) {
    json.null();
  }
  json.key("source").string(kSources[static_cast<size_t>(node.source)]);
  const std::string_view cause = is_lost ? "Redis cannot be read" : std::string_view(node.cause);
  if (!cause.empty()) json.key("cause").string(cause);
}

}  // namespace nb::fleet
