#include "redis/server_clock.h"

namespace nb::redis {
namespace {

using namespace std::chrono_literals;

// Two clocks may drift apart by this part of the time that passes: each may be slewed
// (adjtimex(2)).
constexpr int kDriftPart = 1000;
// A clock that was set by less makes nobody's message too late.
constexpr Duration kLeastSet = 100ms;
// An agent reads the clock each second, and a message may take its whole age (5 s by default).
constexpr Duration kSetKnown = 10s;

WallTime later(WallTime time, Duration by) {
  return time + std::chrono::duration_cast<WallTime::duration>(by);
}

}  // namespace

void ServerClock::read(WallTime at, MonoTime asked, MonoTime answered) {
  const Duration half = (answered - asked) / 2;
  const WallTime middle = later(at, half);
  if (const auto known = now(answered)) {
    const Duration off = middle - *known;
    const Duration unsure = uncertainty_ + (answered - read_) / kDriftPart;
    const bool contradicts = std::chrono::abs(off) > unsure + half;
    if (contradicts && std::chrono::abs(off) >= kLeastSet) {
      set_by_ = off;
      set_ = answered;
    }
    if (!contradicts && unsure <= half) {
      base_ = *known;
      uncertainty_ = unsure;
      read_ = answered;
      return;
    }
  }
  base_ = middle;
  uncertainty_ = half;
  read_ = answered;
}

std::optional<WallTime> ServerClock::now(MonoTime now) const {
  if (read_ == MonoTime::min()) return std::nullopt;
  return later(base_, now - read_);
}

std::optional<WallTime> ServerClock::before_set(MonoTime now) const {
  if (set_ == MonoTime::min() || now - set_ > kSetKnown) return std::nullopt;
  return later(*this->now(now), -set_by_);
}

}  // namespace nb::redis
