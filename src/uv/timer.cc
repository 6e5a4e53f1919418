#include "uv/timer.h"

#include <algorithm>

namespace nb::uv {
namespace {

constexpr uint64_t kLateMs = 100;
// A socket that is found readable in one turn may be read in the next one (uv/soon.h).
constexpr uint8_t kTurnsWhenLate = 2;

}  // namespace

Timer::Timer(Loop& loop, Delegate<void()> on_expired) : loop_(loop), on_expired_(on_expired) {
  handle_.init(this, [&](uv_timer_t* raw) { return uv_timer_init(loop.raw(), raw); });
}

void Timer::start(Duration delay) {
  delay = std::max(delay, Duration::zero());
  due_ = loop_.now() + delay;
  // libuv counts whole milliseconds of its clock and caches them for a turn: a plain delay would
  // expire up to a millisecond early, and earlier still after a long turn. So: the first tick of
  // that clock that is not before the due time.
  uv_update_time(loop_.raw());
  const auto now = std::chrono::nanoseconds(static_cast<int64_t>(uv_hrtime()));
  const auto due_tick =
      std::chrono::ceil<std::chrono::milliseconds>(now + loop_.clock().real_delay(delay));
  const uint64_t tick = uv_now(loop_.raw());
  const auto due_count = static_cast<uint64_t>(due_tick.count());
  due_tick_ = std::max(due_count, tick);
  turns_left_ = kTurnsWhenLate;
  uv_timer_start(handle_.get(), &Timer::on_timeout, due_tick_ - tick, 0);
}

void Timer::stop() {
  uv_timer_stop(handle_.get());
}

bool Timer::active() const {
  return uv_is_active(handle_.as<uv_handle_t>()) != 0;
}

void Timer::on_timeout(uv_timer_t* raw) noexcept {
  auto* self = owner_of<Timer>(raw);
  if (self == nullptr) return;
  if (self->turns_left_ > 0 && uv_now(raw->loop) >= self->due_tick_ + kLateMs) {
    --self->turns_left_;
    uv_timer_start(raw, &Timer::on_timeout, 1, 0);  // of 0 ms it would expire in this turn
    return;
  }
  self->on_expired_();
}

}  // namespace nb::uv
