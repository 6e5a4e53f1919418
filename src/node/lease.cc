#include "node/lease.h"

#include <utility>

#include "wire/keys.h"

namespace nb::node {
namespace {

// A node's last lease is removed after this time. No agent judges by whether it exists.
constexpr Duration kKept = std::chrono::hours(24);
// A lease that Redis has refused is not sent again each second.
constexpr Duration kAgain = std::chrono::minutes(1);

uint32_t ms(Duration duration) {
  return static_cast<uint32_t>(duration / std::chrono::milliseconds(1));
}

}  // namespace

LeaseRenewal::LeaseRenewal(uv::Loop& loop, const Log& log, outbox::Outbox& outbox,
                           const Identity& identity, const config::Config& config,
                           Delegate<void()> on_renewed)
    : loop_(loop),
      log_(log),
      outbox_(outbox),
      config_(config.lease),
      on_renewed_(on_renewed),
      timer_(loop, Delegate<void()>::to<&LeaseRenewal::on_due>(this)),
      db_(config.redis.db_for("health").value()),
      key_(wire::lease_key(identity.node)),
      lease_{identity.boot_id, identity.instance_id} {}

void LeaseRenewal::start() {
  on_due();
}

void LeaseRenewal::reconfigure(const config::LeaseConfig& config) {
  if (config == config_) return;
  config_ = config;
  on_due();
}

void LeaseRenewal::finish() {
  timer_.stop();
  put(Duration::zero());
}

// On multiples of the interval of the monotonic clock, as the beats: a late renewal does not make
// the next one late.
void LeaseRenewal::on_due() {
  const Duration since_epoch = loop_.now().time_since_epoch();
  timer_.start((since_epoch / config_.interval + 1) * config_.interval - since_epoch);
  put(config_.patience);
  on_renewed_();
}

void LeaseRenewal::put(Duration patience) {
  const MonoTime now = loop_.now();
  if (now < refused_until_) return;
  ++lease_.seq;
  lease_.interval_ms = ms(config_.interval);
  lease_.patience_ms = ms(patience);
  print_lease(lease_, text_);
  const outbox::FieldView value{"", text_};
  outbox::SlotUpdate slot;
  slot.db = db_;
  slot.key = key_;
  slot.kind = outbox::SlotKind::string;
  slot.fields = {&value, 1};
  slot.ttl = kKept;
  // One waiter at a time: while Redis is away, each would be kept.
  const outbox::Waiter waiter = std::exchange(waiting_, true) ? 0 : kWaiter;
  (void)outbox_.put(&slot, nullptr, nullptr, now, loop_.clock().wall_now(), waiter);
}

void LeaseRenewal::on_answer(const outbox::Settled& settled) {
  waiting_ = false;
  const bool refused = settled.outcome == outbox::Outcome::refused;
  if (refused) refused_until_ = loop_.now() + kAgain;
  if (refused == !refusal_.empty()) return;
  refusal_ = refused ? settled.words : std::string_view();
  if (refused) {
    log_.error(
        "redis refuses the lease of this node: %s: when this node is lost, that is noticed only "
        "when its health has expired (nodebeatctl redis setup --force writes the rights of its "
        "user "
        "anew)",
        refusal_.c_str());
  } else {
    log_.notice("redis takes the lease of this node again");
  }
}

}  // namespace nb::node
