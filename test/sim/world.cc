#include "sim/world.h"

#include <algorithm>
#include <cstdio>

#include "base/text.h"

namespace nb::sim {

void World::at(MonoTime time, std::function<void()> what) {
  uint32_t place = static_cast<uint32_t>(whats_.size());
  if (free_.empty()) {
    whats_.push_back(std::move(what));
  } else {
    place = free_.back();
    free_.pop_back();
    whats_[place] = std::move(what);
  }
  events_.push_back({std::max(time, now_), ++order_, place});
  std::push_heap(events_.begin(), events_.end());
}

bool World::step(MonoTime until) {
  if (!failure_.empty()) return false;
  if (events_.empty() || events_.front().time > until) {
    now_ = until;
    return false;
  }
  std::pop_heap(events_.begin(), events_.end());
  const Event event = events_.back();
  events_.pop_back();
  now_ = event.time;
  const auto what = std::move(whats_[event.place]);
  free_.push_back(event.place);
  what();
  return true;
}

void World::say(const char* format, ...) {
  if (!trace_) return;
  va_list args;
  va_start(args, format);
  const std::string text = vformat(format, args);
  va_end(args);
  std::printf("%10.3f  %s\n", static_cast<double>((now_ - MonoTime(1000s)) / 1us) / 1e6,
              text.c_str());
}

void World::fail(const char* format, ...) {
  if (!failure_.empty()) return;
  va_list args;
  va_start(args, format);
  failure_ = vformat(format, args);
  va_end(args);
  say("FAILED: %s", failure_.c_str());
}

}  // namespace nb::sim
