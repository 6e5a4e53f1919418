#include "cell/bus_filter.h"

#include <algorithm>

#include "wire/bus.h"

namespace nb::cell {
namespace {

// A message from farther in the future was not written by this clock: two agents' readings of it
// differ by half a round trip each.
constexpr int64_t kFutureMs = 1000;

int64_t ms(WallTime time) {
  return std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

}  // namespace

BusFilter::Look BusFilter::look(std::string_view payload, MonoTime now, json::Guard& guard) const {
  constexpr size_t kDeepest = 64;
  if (guard.check(payload, {payload.size(), kDeepest}).reason != nullptr) return {};
  const json::View message = guard.view();
  const json::View data = message["data"];
  if (data[wire::kSourceInstance].string_is(instance())) return {Verdict::own};
  const auto max_age = data[wire::kBusMaxAge].integer();
  const auto sent = message["timestamp"].integer();
  const auto time = clock().now(now);
  Look look;
  look.for_now = max_age || wire::is_emergency_stop(message);
  if (!max_age || !sent || !time) return look;
  const int64_t age = ms(*time) - *sent;
  const auto before = clock_.clock().before_set(now);
  const int64_t age_before = before ? ms(*before) - *sent : age;
  const auto in_time = [&](int64_t old) { return old >= -kFutureMs && old <= *max_age; };
  if (in_time(age) || in_time(age_before)) return look;
  // From the future by every clock that is known: that cannot be judged.
  if (age <= *max_age && age_before <= *max_age) return look;
  look.verdict = Verdict::too_late;
  look.sent = WallTime(std::chrono::milliseconds(*sent));
  look.age_ms = std::max(age, age_before);
  look.max_age_ms = *max_age;
  return look;
}

void BusFilter::log_too_late(std::string_view channel, const Look& look) const {
  log_.warning(LogAbout(channel),
               "a message on %.*s has come too late and is not handed on: it is %lld ms old, of at "
               "most %lld",
               static_cast<int>(channel.size()), channel.data(),
               static_cast<long long>(look.age_ms), static_cast<long long>(look.max_age_ms));
}

}  // namespace nb::cell
