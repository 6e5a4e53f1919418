#include "cell/bus_hold.h"

#include <utility>

namespace nb::cell {
namespace {

// Redis answers within a round trip. More than this is a flood.
constexpr size_t kMostBytes = 64 * 1024;

size_t size_of(const RemoteMessage& message) {
  return 2 * sizeof message + message.channel.size() + message.payload.size() +
         message.pattern.size();
}

}  // namespace

bool BusHold::keep(const RemoteMessage& message) {
  if (bytes_ + size_of(message) > kMostBytes) {
    hand_on(kept_.size());
    return false;
  }
  if (kept_.empty()) {
    if (!clock_.read_now(Delegate<void()>::to<&BusHold::on_time>(this))) return false;
    asked_for_ = 1;
  }
  bytes_ += size_of(message);
  kept_.push_back({std::string(message.channel), std::string(message.payload),
                   std::string(message.pattern), message.repeated});
  return true;
}

void BusHold::clear() {
  kept_.clear();
  bytes_ = 0;
}

void BusHold::on_time() {
  hand_on(asked_for_);
  // Those that are kept again came before they were asked for again.
  asked_for_ = kept_.size();
}

void BusHold::hand_on(size_t checked) {
  bytes_ = 0;
  size_t index = 0;
  for (const Kept& kept : std::exchange(kept_, {})) {
    hand_on_({kept.channel, kept.payload, kept.pattern, kept.repeated}, index++ < checked);
  }
}

}  // namespace nb::cell
