// The world of the simulation: time, chance, and what happens in order. See README.md.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"

namespace nb::sim {

using namespace std::chrono_literals;

class World {
 public:
  World(uint64_t seed, bool trace) : random_(seed), trace_(trace) {}

  MonoTime now() const { return now_; }
  void at(MonoTime time, std::function<void()> what);
  void after(Duration delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }
  // False: nothing is to happen before that time, or something has gone wrong.
  bool step(MonoTime until);

  // Uniform in [0, most].
  Duration upto(Duration most) {
    return Duration(static_cast<int64_t>(random_.below(static_cast<uint64_t>(most.count()) + 1)));
  }
  Duration between(Duration least, Duration most) { return least + upto(most - least); }
  uint64_t below(uint64_t bound) { return random_.below(bound); }
  bool chance(unsigned percent) { return random_.below(100) < percent; }

  bool traces() const { return trace_; }
  [[gnu::format(printf, 2, 3)]] void say(const char* format, ...);
  // What must not be has been. The first one counts.
  [[gnu::format(printf, 2, 3)]] void fail(const char* format, ...);
  const std::string& failure() const { return failure_; }

 private:
  struct Event {
    MonoTime time;
    uint64_t order;
    uint32_t place;  // in whats_
    bool operator<(const Event& other) const {
      return time != other.time ? time > other.time : order > other.order;
    }
  };

  Random random_;
  bool trace_;
  MonoTime now_ = MonoTime(1000s);
  uint64_t order_ = 0;
  std::vector<Event> events_;  // a heap
  std::vector<std::function<void()>> whats_;
  std::vector<uint32_t> free_;
  std::string failure_;
};

}  // namespace nb::sim
