#include "redis/link_state.h"

#include <array>

namespace nb::redis {

std::string_view name(LinkState state) {
  constexpr std::array<std::string_view, 7> kNames = {
      "stopped", "waiting", "resolving", "connecting", "greeting", "replaying", "steady"};
  return kNames[static_cast<size_t>(state)];
}

void LinkMachine::start() {
  if (state_ == LinkState::stopped) state_ = LinkState::waiting;
}

bool LinkMachine::advance(LinkState to, MonoTime now) {
  // One step forward; a number or a socket path needs no resolving.
  const bool next = static_cast<int>(to) == static_cast<int>(state_) + 1;
  const bool skips_resolving = state_ == LinkState::waiting && to == LinkState::connecting;
  if (state_ == LinkState::stopped || !(next || skips_resolving)) return false;
  state_ = to;
  if (to == LinkState::steady) {
    steady_since_ = now;
    trouble_ = Trouble::none;
  }
  return true;
}

LinkMachine::Retry LinkMachine::fail(Trouble trouble, MonoTime now) {
  if (state_ == LinkState::steady && now - steady_since_ >= stable_after_) backoff_.reset();
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
