#include "fleet/watch_claim.h"

#include <algorithm>

#include "base/text.h"
#include "wire/lease.h"

namespace nb::fleet {
namespace {

using namespace std::chrono_literals;

constexpr Duration kRenewal = 500ms;
// Three renewals. With one read a second, the watch of a holder that died just behind a read is
// first read 1 s later; after 1.5 s more and the longest delay it is claimed, before 3 s are over.
constexpr Duration kStale = 1500ms;
constexpr Duration kUnwatched = 10s;
constexpr Duration kAway = 10s;
// A claim is put off for up to so long, lest a thousand agents claim in one millisecond.
constexpr uint64_t kMostDelayMs = 250;

}  // namespace

WatchClaim::WatchClaim(std::string_view node, std::string_view instance, bool enabled,
                       Random random, MonoTime now)
    : node_(node), instance_(instance), enabled_(enabled), random_(random), changed_(now) {}

bool WatchClaim::is_watched() const {
  return holding_ || silence_ < kUnwatched;
}

void WatchClaim::on_connected(MonoTime now) {
  connected_again_ = connected_ != MonoTime::min();
  connected_ = now;
  if (must_write_ && under_way_ == Step::nothing) write_at_ = MonoTime::max();
  not_before_ = MonoTime::min();
}

bool WatchClaim::was_away(MonoTime now) const {
  return (connected_again_ && now - connected_ < kAway) ||
         (refused_ != MonoTime::min() && now - refused_ < kAway);
}

void WatchClaim::see(std::string_view watch, MonoTime now) {
  if (was_read_ && same(watch, watch_)) return;
  watch_ = watch;
  was_read_ = true;
  changed_ = now;
  silence_ = {};
  // Also of a watch that its holder has given up meanwhile: terms rise.
  if (const auto seen = wire::parse_watch(watch)) term_ = std::max(term_, seen->term);
}

bool WatchClaim::is_anothers(std::string_view text) const {
  const auto watch = wire::parse_watch(text);
  return watch && !same(watch->instance, instance_);
}

// A run of an agent has an instance of its own. So a watch of this instance is this agent's,
// whichever of its terms it is: the answer to a claim was lost, or the server has lost the claim of
// another agent.
bool WatchClaim::hold_if_own(std::string_view text, MonoTime next) {
  const auto watch = wire::parse_watch(text);
  if (!watch || !same(watch->node, node_) || !same(watch->instance, instance_)) return false;
  term_ = watch->term;
  seq_ = watch->seq;
  own_term_ = wire::watch_term_of(text);
  claimed_anew_ = claimed_anew_ || vanished_;
  holding_ = true;
  must_write_ = false;
  vanished_ = false;
  read_at_ = MonoTime::max();
  write_at_ = next;
  return true;
}

void WatchClaim::on_read(std::string_view watch, MonoTime asked, MonoTime now) {
  if (under_way_ == Step::read) under_way_ = Step::nothing;
  // Its renewals do not arrive, and another agent has claimed the watch meanwhile.
  if (holding_ && asked > written_ && is_anothers(watch)) {
    holding_ = vanished_ = false;
    see(watch, now);
  }
  // While this agent writes, the text that was read may be older than the one that the write will
  // find.
  if (holding_ || under_way_ != Step::nothing) return;
  const bool changed = !was_read_ || !same(watch, watch_);
  changes_ = changed && was_read_ && wire::parse_watch(watch).has_value();
  see(watch, now);
  if (!must_write_ && hold_if_own(watch, now)) return;
  read_at_ = MonoTime::max();
  const MonoTime since = std::max(changed_, connected_);
  // While the server or this agent was stopped, its holder could not renew it.
  if (now - asked >= kStale) held_up_ = now;
  if (!changed) silence_ = std::max(asked - std::max(since, held_up_), Duration());
  if (!enabled_) return;
  const auto delay = std::chrono::milliseconds(random_.below(kMostDelayMs));
  if (watch.empty() || (!changed && asked - since >= kStale)) {
    if (write_at_ == MonoTime::max()) write_at_ = std::max(now + delay, not_before_);
    return;
  }
  write_at_ = MonoTime::max();
  if (!changed) read_at_ = std::max(since + kStale, now);
}

MonoTime WatchClaim::next_step() const {
  return under_way_ == Step::nothing ? std::min(read_at_, write_at_) : MonoTime::max();
}

WatchClaim::Step WatchClaim::step(MonoTime now) {
  if (now < next_step()) return Step::nothing;
  if (now >= write_at_) {
    under_way_ = holding_ && !vanished_ ? Step::renew : Step::claim;
    // Of the next one, where this one is not answered.
    write_at_ = now + kRenewal;
  } else {
    under_way_ = Step::read;
  }
  read_at_ = MonoTime::max();
  return under_way_;
}

WatchClaim::Write WatchClaim::write(uint64_t looked_at_ms, uint32_t lag_ms) {
  if (under_way_ == Step::claim) {
    ++term_;
    seq_ = 0;
  }
  wire::print_watch({node_, instance_, term_, ++seq_, looked_at_ms, lag_ms}, wanted_);
  own_term_ = wire::watch_term_of(wanted_);
  return {under_way_ == Step::claim ? std::string_view(watch_) : std::string_view(own_term_),
          wanted_};
}

void WatchClaim::on_written(std::string_view watch, MonoTime now) {
  if (!writes()) return;
  const Step done = std::exchange(under_way_, Step::nothing);
  see(watch, now);
  written_ = now;
  if (hold_if_own(watch, std::max(write_at_, now))) return;
  vanished_ = done == Step::renew && watch.empty() && enabled_;
  // No agent has taken it: the server was emptied. The knowledge of this agent about the nodes is
  // worth keeping.
  if (vanished_) {
    write_at_ = now;
  } else {
    holding_ = false;
    write_at_ = MonoTime::max();
  }
}

void WatchClaim::not_read() {
  if (under_way_ == Step::read) under_way_ = Step::nothing;
}

void WatchClaim::not_written(MonoTime now) {
  if (!writes()) return;
  under_way_ = Step::nothing;
  write_at_ = holding_ ? std::max(write_at_, now) : MonoTime::max();
}

// The server is there and refuses the write: the server has become a replica, is out of memory, or
// does not let this user write. Perhaps the server refuses leases as well, so a silent node is not
// lost.
void WatchClaim::refused(MonoTime now, Duration pause) {
  if (!writes()) return;
  under_way_ = Step::nothing;
  holding_ = vanished_ = false;
  must_write_ = true;
  refused_ = now;
  not_before_ = now + pause;
  read_at_ = write_at_ = MonoTime::max();
}

void WatchClaim::on_moved(MonoTime now) {
  if (holding_ && !writes()) write_at_ = std::min(write_at_, now);
}

}  // namespace nb::fleet
