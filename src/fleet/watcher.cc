#include "fleet/watcher.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "base/name.h"
#include "base/text.h"
#include "wire/lease.h"

namespace nb::fleet {
namespace {

using namespace std::chrono_literals;

constexpr Duration kPeriod = 250ms;
constexpr Duration kFastPeriod = 100ms;
constexpr Duration kFastPatience = 3s;  // below it, reads are fast
// Patience is wider for this time after a late read: the longest patience, within these limits.
constexpr Duration kLeastWindow = 2s;
constexpr Duration kMostWindow = 10s;
constexpr unsigned kPercent = 100;
constexpr unsigned kLate = 150;  // of the period: a read after more than this is late
constexpr unsigned kMostWidening = 400;
constexpr uint32_t kLeastCrowd = 3;
// So many losses of one node are recorded, one soon after the other; and one in each such time.
constexpr int kRecords = 5;
constexpr Duration kRecordEvery = 10min;

constexpr Duration ms(uint32_t count) {
  return std::chrono::milliseconds(count);
}

std::string_view run_of(const wire::Lease& lease, std::string_view text) {
  return text.substr(
      0, static_cast<size_t>(lease.instance.data() - text.data()) + lease.instance.size());
}

}  // namespace

// --- the term and the register ---

void Watcher::begin(std::string_view own, bool wide) {
  end();
  own_ = own;
  watching_ = true;
  fresh_ = true;
  wide_ = wide;
}

void Watcher::end() {
  nodes_.clear();
  slots_.clear();
  last_began_ = next_look_ = MonoTime::min();
  lag_ = {};
  late_[0] = late_[1] = kPercent;
  left_out_ = 0;
  watching_ = looking_ = uncertain_ = tell_uncertain_ = tell_sure_ = false;
}

void Watcher::begin_again() {
  if (!watching_) return;
  fresh_ = true;
  wide_ = true;
  looking_ = false;
  last_began_ = next_look_ = MonoTime::min();
  for (Node& node : nodes_) {
    node.wants = false;
    // The server's present marks count: it may have lost a mark, and has to get it again.
    if (node.lost && node.ticket == 0) {
      node.listed = node.orphan = false;
    } else if (is_judged(node)) {
      node.orphan = true;
    }
  }
  drop_unlisted();
}

void Watcher::index_nodes() {
  size_t size = 64;
  while (size < nodes_.size() * 2 + 2) size *= 2;
  slots_.assign(size, 0);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    slots_[slot(nodes_[i].name)] = static_cast<uint32_t>(i + 1);
  }
}

// Where this name is, or would be.
size_t Watcher::slot(std::string_view name) const {
  const size_t mask = slots_.size() - 1;
  const uint64_t hash = hash_of(name, kHashBegin ^ seed_);
  // The lower bits alone depend on the lower bits of the seed only.
  size_t at = (hash ^ hash >> 32) & mask;
  while (slots_[at] != 0 && !same(nodes_[slots_[at] - 1].name, name)) at = (at + 1) & mask;
  return at;
}

size_t Watcher::find(std::string_view node) const {
  if (slots_.empty()) return size();
  const uint32_t found = slots_[slot(node)];
  return found != 0 ? found - 1 : size();
}

Watcher::Node* Watcher::add(std::string_view name) {
  const size_t found = find(name);
  if (found < size()) return &nodes_[found];
  if (!is_name(name)) return nullptr;
  if (size() >= kMostNodes) {
    ++left_out_;
    return nullptr;
  }
  Node node;
  node.name = name;
  nodes_.push_back(std::move(node));
  if (slots_.size() < size() * 2) {
    index_nodes();
  } else {
    slots_[slot(name)] = static_cast<uint32_t>(size());
  }
  return &nodes_.back();
}

void Watcher::begin_register() {
  looking_ = false;
  left_out_ = 0;
  for (Node& node : nodes_) {
    node.listed = false;
    // For an announced node the mark says that it is still lost; a node that has stopped is not to
    // be waited for.
    if (node.ticket == 0 && !is_judged(node)) node.orphan = false;
  }
}

void Watcher::add_node(std::string_view name) {
  if (Node* node = watching_ ? add(name) : nullptr) {
    node->listed = true;
    if (std::exchange(node->orphan, false)) node->appeared = true;
  }
}

void Watcher::mark_lost(std::string_view name, std::string_view lease) {
  if (lease.empty() || lease.size() > wire::kLeaseBytes) return;
  Node* node = watching_ ? add(name) : nullptr;
  if (node == nullptr || node->ticket != 0) return;
  node->orphan = !node->listed;
  if (!node->lost) node->recorded = true;
  node->lost = true;
  node->suspect = false;
  node->judged = lease;
}

void Watcher::drop_unlisted() {
  size_t kept = 0;
  for (size_t i = 0; i < size(); ++i) {
    if (!nodes_[i].listed && !nodes_[i].orphan) continue;
    if (kept != i) nodes_[kept] = std::move(nodes_[i]);
    ++kept;
  }
  if (kept == size()) return;
  nodes_.erase(nodes_.begin() + static_cast<ptrdiff_t>(kept), nodes_.end());
  index_nodes();
}

// --- a read of the leases ---

void Watcher::begin_look(MonoTime now) {
  looking_ = watching_;
  began_ = now;
  seen_ = 0;
  for (Node& node : nodes_) node.seen = false;
}

void Watcher::fail_look(MonoTime now) {
  looking_ = false;
  next_look_ = now + (period_ > Duration() ? period_ : kPeriod);
}

void Watcher::see(size_t index, std::string_view text, MonoTime now) {
  if (!looking_ || index >= size()) return;
  Node& node = nodes_[index];
  if (!std::exchange(node.seen, true)) ++seen_;
  // Actions that wait were judged by a state that no longer holds.
  if (text.empty() != node.absent || !same(text, node.lease)) node.wants = false;
  if (std::exchange(node.appeared, false)) node.changed = now;
  if (text.empty()) {
    // It was deleted, and perhaps renewed just before.
    if (!std::exchange(node.absent, true)) node.changed = now;
    return;
  }
  node.absent = false;
  const bool was_malformed = node.malformed;
  if (same(text, node.lease)) {
    node.malformed = false;
    if (was_malformed) node.changed = now;
    return;
  }
  const auto lease = wire::parse_lease(text);
  node.malformed = !lease;
  if (!lease) return;
  const std::string_view run = run_of(*lease, text);
  // A seq that is lower than before is from a server that has lost something, and no sign of life.
  const bool renewed = was_malformed || lease->seq > node.seq ||
                       !same(run, std::string_view(node.lease).substr(0, node.run_bytes));
  node.lease = text;
  node.run_bytes = static_cast<uint16_t>(run.size());
  node.seq = lease->seq;
  node.patience_ms = lease->patience_ms;
  node.interval_ms = lease->interval_ms;
  node.told = false;
  if (!renewed) return;
  node.changed = now;
  node.held = false;
}

void Watcher::end_look(MonoTime now) {
  if (!looking_) return;
  if (seen_ != size()) return fail_look(now);
  looking_ = false;
  longest_ = {};
  paced_ = period_;
  period_ = kPeriod;
  for (const Node& node : nodes_) {
    if (!is_judged(node)) continue;
    longest_ = std::max(longest_, ms(node.patience_ms));
    if (ms(node.patience_ms) < kFastPatience) period_ = kFastPeriod;
  }
  note_lateness(now);
  if (std::exchange(fresh_, false)) {
    since_ = now;
    if (wide_) late_[0] = kMostWidening;
    if (uncertain_) hold_until_ = now + hold_;
  }
  last_began_ = began_;
  look_for_crowd();
  judge();
  plan();
}

// How late this read is, from the read before to this one's answer, in periods.
void Watcher::note_lateness(MonoTime now) {
  Duration took = now - began_;
  if (last_began_ != MonoTime::min()) took = std::max(took, began_ - last_began_);
  // The slower one, where the period has just changed.
  const Duration period = std::max(paced_, period_);
  lag_ = std::max(took - period, Duration());
  const Duration window = std::clamp(longest_, kLeastWindow, kMostWindow);
  const Duration age = began_ - window_began_;
  if (age >= window || (fresh_ && wide_)) {
    late_[1] = age < 2 * window ? late_[0] : kPercent;
    late_[0] = kPercent;
    window_began_ = began_;
  }
  const auto percent = std::min<int64_t>(took * kPercent / period, kMostWidening);
  if (percent > kLate) late_[0] = std::max(late_[0], static_cast<unsigned>(percent));
}

unsigned Watcher::widening() const {
  return std::max(late_[0], late_[1]);
}

// --- judging ---

bool Watcher::is_judged(const Node& node) const {
  return node.patience_ms != 0 && !node.malformed && !node.lost;
}

Watcher::Silence Watcher::silence(const Node& node) const {
  return {began_ - std::max(node.changed, since_), ms(node.patience_ms) * widening() / kPercent};
}

// Whether the node may have fallen silent at the same moment as one whose patience ends now: that
// one may have renewed its lease one interval earlier, and been seen by a read that was a period
// late. A node that is alive is silent for less than an interval and a period.
bool Watcher::is_in_crowd(const Node& node, const Silence& silence) const {
  const Duration slack = period_ * 3 / 2;
  const Duration interval = ms(node.interval_ms);
  return silence.silent >= std::min(std::max(silence.patience - interval - slack, interval + slack),
                                    silence.patience);
}

void Watcher::look_for_crowd() {
  if (uncertain_ && began_ >= hold_until_) {
    uncertain_ = false;
    tell_sure_ = true;
  }
  uint32_t judged = 0;
  uint32_t crowd = 0;
  bool is_over = false;
  Duration longest{};
  for (Node& node : nodes_) {
    if (!is_judged(node) || node.held || node.ticket != 0) continue;
    ++judged;
    const Silence silent = silence(node);
    if (!is_in_crowd(node, silent)) continue;
    if (uncertain_) {
      node.held = true;
      continue;
    }
    ++crowd;
    is_over = is_over || silent.is_over();
    longest = std::max(longest, silent.patience);
  }
  if (uncertain_ || !is_over || crowd < std::max(kLeastCrowd, (judged + 1) / 2)) return;
  uncertain_ = true;
  tell_uncertain_ = true;
  hold_ = longest;
  hold_until_ = began_ + longest;
  crowd_ = crowd;
  crowd_of_ = judged;
  for (Node& node : nodes_)
    node.held = node.held || (is_judged(node) && is_in_crowd(node, silence(node)));
}

void Watcher::want(Node& node, Kind kind) {
  node.wanted = kind;
  node.wants = true;
}

// The lease that was announced as lost is no longer the one that is there.
bool Watcher::has_returned(const Node& node) const {
  if (node.judged.empty() || node.lease.empty() || same(node.judged, node.lease)) return false;
  const auto judged = wire::parse_lease(node.judged);
  return !judged || judged->seq < node.seq ||
         !same(run_of(*judged, node.judged),
               std::string_view(node.lease).substr(0, node.run_bytes));
}

bool Watcher::may_record(const Node& node) const {
  return node.recorded_until <= began_ + (kRecords - 1) * kRecordEvery;
}

void Watcher::note_record(Node& node) {
  node.recorded = true;
  node.recorded_until = std::max(node.recorded_until, began_) + kRecordEvery;
}

void Watcher::judge() {
  next_ = 0;
  for (Node& node : nodes_) {
    if (node.ticket != 0) continue;
    const bool judged = is_judged(node) && !same(node.name, own_);
    const Silence silent = silence(node);
    const bool suspect = judged && silent.silent * 3 >= silent.patience * 2;
    node.wants = false;
    if (suspect != node.suspect) want(node, suspect ? Kind::suspect : Kind::unsuspect);
    node.suspect = suspect;
    if (has_returned(node)) {
      want(node, Kind::returned);
    } else if (judged && !uncertain_ && silent.is_over()) {
      want(node, Kind::lost);
    } else if (node.lost && !node.recorded && may_record(node)) {
      want(node, Kind::record);
    } else if (node.malformed && !node.told) {
      want(node, Kind::malformed);
    }
  }
}

void Watcher::plan() {
  const MonoTime least = began_ + period_ / 4;
  next_look_ = began_ + period_;
  if (uncertain_) {
    next_look_ = std::min(next_look_, std::max(hold_until_, least));
    return;
  }
  for (const Node& node : nodes_) {
    if (!node.suspect || node.ticket != 0) continue;
    const MonoTime end = std::max(node.changed, since_) + silence(node).patience;
    if (end > began_ && end < next_look_) next_look_ = std::max(end, least);
  }
}

// --- actions ---

bool Watcher::next(Action& action) {
  action = {};
  if (tell_sure_ && (uncertain_ || !tell_uncertain_)) {
    tell_sure_ = false;
    action.kind = Kind::sure;
    return true;
  }
  if (std::exchange(tell_uncertain_, false)) {
    action.kind = Kind::uncertain;
    action.silent = crowd_;
    action.nodes = crowd_of_;
    return true;
  }
  while (next_ < size() && !nodes_[next_].wants) ++next_;
  if (next_ >= size()) return false;
  Node& node = nodes_[next_];
  node.wants = false;
  action.kind = node.wanted;
  action.node = node.name;
  action.lease = node.lease;
  action.silent_ms = static_cast<uint32_t>(std::max(silence(node).silent, Duration()) / 1ms);
  switch (node.wanted) {
    case Kind::malformed:
      node.told = true;
      return true;
    case Kind::record:
      note_record(node);
      return true;
    case Kind::lost:
      node.judged = node.lease;
      action.recorded = node.recorded = may_record(node);
      break;
    case Kind::returned: {
      action.before = node.judged;
      action.recorded = node.recorded;
      const std::string_view run = std::string_view(node.lease).substr(0, node.run_bytes);
      const size_t boot = run.find(' ');
      action.how = node.judged.starts_with(run) && node.judged[run.size()] == ' ' ? How::network
                   : node.judged.starts_with(run.substr(0, boot + 1))             ? How::restarted
                                                                                  : How::rebooted;
      break;
    }
    default:
      return true;
  }
  action.absent = node.absent;
  if (++last_ticket_ == 0) ++last_ticket_;
  action.ticket = node.ticket = last_ticket_;
  return true;
}

void Watcher::report(uint32_t ticket, Outcome outcome, MonoTime now) {
  if (ticket == 0) return;
  for (Node& node : nodes_) {
    if (node.ticket != ticket) continue;
    node.ticket = 0;
    const bool done = outcome == Outcome::announced || outcome == Outcome::already;
    if (node.wanted == Kind::returned) {
      if (done) node.judged.clear();
      // The server still has the lease with which it was lost.
      if (done || outcome == Outcome::lease_changed) node.lost = !done;
    } else if (done) {
      node.lost = true;
      node.suspect = false;
      if (outcome == Outcome::announced && node.recorded) note_record(node);
    } else if (outcome == Outcome::lease_changed) {
      // The judged lease stays: an earlier try, whose answer was lost, may have announced it. Then
      // the new lease withdraws that.
      node.changed = now;
    }
    return;
  }
}

Watcher::State Watcher::state(size_t index) const {
  const Node& node = nodes_[index];
  if (node.lost) return State::lost;
  if (node.malformed) return State::malformed;
  if (node.lease.empty()) return State::unknown;
  if (node.patience_ms == 0) return State::stopped;
  return node.suspect ? State::suspect : State::alive;
}

}  // namespace nb::fleet
