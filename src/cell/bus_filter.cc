#include "cell/bus_filter.h"

#include "wire/bus.h"

namespace nb::cell {

BusFilter::Look BusFilter::look(std::string_view channel, std::string_view payload, MonoTime now,
                                json::Guard& guard) const {
  constexpr size_t kDeepest = 64;
  if (guard.check(payload, {payload.size(), kDeepest}).reason != nullptr) return {};
  const json::View message = guard.view();
  const json::View data = message["data"];
  if (data[wire::kSourceInstance].string_is(instance())) return {Verdict::own};
  const auto max_age = data[wire::kBusMaxAge].integer();
  const auto sent = message["timestamp"].integer();
  const auto time = clock_.now(now);
  Look look;
  look.for_now = max_age || wire::is_emergency_stop(message);
  if (!max_age || !sent || !time) return look;
  const auto at = std::chrono::floor<std::chrono::milliseconds>(time->time_since_epoch()).count();
  if (at - *sent <= *max_age) return look;
  log_.warning(LogAbout(channel),
               "a message on %.*s has come too late and is not handed on: it is %lld ms old, of at "
               "most %lld",
               static_cast<int>(channel.size()), channel.data(), static_cast<long long>(at - *sent),
               static_cast<long long>(*max_age));
  return {Verdict::too_late, WallTime(std::chrono::milliseconds(*sent))};
}

}  // namespace nb::cell
