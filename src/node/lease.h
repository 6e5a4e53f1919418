// LeaseRenewal: renews this node's lease (wire/lease.h), by which the watcher of the cell sees that
// the node is there. The renewals lie on the grid of the beats, so that one wake-up serves both. A
// lease is apart from the health: it is small, and comes more often.
#pragma once

#include <string>

#include "base/delegate.h"
#include "base/log.h"
#include "config/config.h"
#include "node/identity.h"
#include "outbox/outbox.h"
#include "uv/timer.h"
#include "wire/lease.h"

namespace nb::node {

class LeaseRenewal {
 public:
  // All references must outlive it. `on_renewed`: the lease was put into the outbox, or it is due
  // and Redis refuses it.
  LeaseRenewal(uv::Loop& loop, const Log& log, outbox::Outbox& outbox, const Identity& identity,
               const config::Config& config, Delegate<void()> on_renewed);

  // The first lease goes out with the first connection.
  void start();
  void reconfigure(const config::LeaseConfig& config);
  // The last lease, which says that the agent stops and that no watcher waits for another one.
  void finish();

  // Called by the outbox for every update with a waiter. Whether it was the lease.
  bool on_settled(const outbox::Settled& settled) {
    if (settled.waiter != kWaiter) return false;
    on_answer(settled);
    return true;
  }
  // There is a new connection: perhaps Redis takes the lease now.
  void on_connected() { refused_until_ = MonoTime::min(); }

  // Redis' words, if it does not take the lease; else empty.
  const std::string& refusal() const { return refusal_; }

 private:
  // Calls that wait for their answers have numbers of their own, which begin at 1.
  static constexpr outbox::Waiter kWaiter = ~outbox::Waiter{0};

  void on_answer(const outbox::Settled& settled);
  void on_due();
  void put(Duration patience);

  uv::Loop& loop_;
  const Log& log_;
  outbox::Outbox& outbox_;
  config::LeaseConfig config_;
  Delegate<void()> on_renewed_;
  uv::Timer timer_;
  int db_;
  std::string key_;
  wire::Lease lease_;
  std::string text_;  // kept for its room
  std::string refusal_;
  MonoTime refused_until_ = MonoTime::min();
  bool waiting_ = false;  // for the result of a renewal
};

}  // namespace nb::node
