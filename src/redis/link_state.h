// LinkMachine: the states of a connection, and what leads from one to the next. Pure: the machine
// is told what happened, and answers how long to wait and whether there is something to log.
//
// clang-format off
//   stopped ─▶ waiting ─▶ resolving ─▶ connecting ─▶ greeting ─▶ replaying ─▶ steady ◀─▶ degraded
//                 ▲           │            │            │            │           │           │
//                 └───────────┴────────────┴────────────┴────────────┴───────────┴───────────┘
//                                  any failure: back off, for ever
// clang-format on
//
// From replaying it also goes straight to degraded.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/backoff.h"
#include "redis/trouble.h"

namespace nb::redis {

enum class LinkState : uint8_t {
  stopped,     // not started, or finished
  waiting,     // until the next try
  resolving,   // the host name is being looked up
  connecting,  // an address is being tried
  greeting,    // AUTH, SELECT, the first PING
  replaying,   // every slot is written again, then the events that wait
  steady,      // all that was known has been stored, and Redis has confirmed a write of ours
  degraded,    // connected, but Redis refuses what the node writes of itself, or all of it
};

std::string_view name(LinkState state);

class LinkMachine {
 public:
  LinkMachine(Backoff backoff, Duration stable_after)
      : backoff_(std::move(backoff)), stable_after_(stable_after) {}

  LinkState state() const { return state_; }
  // The trouble of the last failure, or of state degraded; `none` when steady.
  Trouble trouble() const { return trouble_; }
  bool connected() const { return state_ >= LinkState::greeting; }

  // From stopped to waiting: the first try is due at once.
  void start();
  // One step forward in the picture above. False, and nothing changes, if there is no such step.
  [[nodiscard]] bool advance(LinkState to, MonoTime now);
  // What is wrong in state degraded.
  void set_trouble(Trouble trouble) { trouble_ = trouble; }

  struct Retry {
    Duration delay{};
    bool news = false;  // this trouble has not been told yet
  };
  // The connection, or the try, has failed.
  Retry fail(Trouble trouble, MonoTime now);
  // The options lead elsewhere now: the next try is due at once, and this is no failure.
  void restart();
  void set_limits(Backoff::Limits limits, Duration stable_after) {
    backoff_.set_limits(limits);
    stable_after_ = stable_after;
  }
  void stop() { state_ = LinkState::stopped; }

 private:
  Backoff backoff_;
  Duration stable_after_;
  LinkState state_ = LinkState::stopped;
  Trouble trouble_ = Trouble::none;
  MonoTime steady_since_{};
};

}  // namespace nb::redis
