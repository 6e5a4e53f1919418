#include "redis/link_state.h"

#include <array>

namespace nb::redis {

std::string_view name(LinkState state) {
  constexpr std::array<std::string_view, 8> kNames = {"stopped",    "waiting",  "resolving",
                                                      "connecting", "greeting", "replaying",
                                                      "steady",     "degraded"};
  return kNames[static_cast<size_t>(state)];
}

void LinkMachine::start() {
  if (state_ == LinkState::stopped) state_ = LinkState::waiting;
}

bool LinkMachine::advance(LinkState to, MonoTime now) {
  // One step forward; a number or a socket path needs no resolving.
  const bool next = static_cast<int>(to) == static_cast<int>(state_) + 1;
  const bool skips_resolving = state_ == LinkState::waiting && to == LinkState::connecting;
  const bool connected = state_ >= LinkState::replaying;
  const bool settles =
      connected && to != state_ && (to == LinkState::steady || to == LinkState::degraded);
  if (state_ == LinkState::stopped || !(next || skips_resolving || settles)) return false;
  if (state_ == LinkState::replaying) steady_since_ = now;
  state_ = to;
  if (to == LinkState::steady) trouble_ = Trouble::none;
  return true;
}

LinkMachine::Retry LinkMachine::fail(Trouble trouble, MonoTime now) {
  if (state_ >= LinkState::steady && now - steady_since_ >= stable_after_) backoff_.reset();
  Retry retry;
  retry.news = trouble != trouble_;
  trouble_ = trouble;
  state_ = LinkState::waiting;
  retry.delay = needs_a_person(trouble) ? backoff_.next_at_cap() : backoff_.next();
  return retry;
}

void LinkMachine::restart() {
  if (state_ == LinkState::stopped) return;
  backoff_.reset();
  state_ = LinkState::waiting;
  trouble_ = Trouble::none;
}

}  // namespace nb::redis
