// BusHold: holds messages of the bus that would be dropped as too late, until Redis has reported
// its time once more: its clock may have been set since the agent read it last. Messages of the bus
// behind such a message wait too, so that no "go on" overtakes a "stop".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/delegate.h"
#include "redis/clock_reader.h"

namespace nb::cell {

// As it came from Redis.
struct RemoteMessage {
  std::string_view channel;
  std::string_view payload;
  std::string_view pattern;  // by which it came; empty: by its channel
  bool repeated = false;     // published once more (wire/repeated.h)
};

class BusHold {
 public:
  // `checked`: the message came before Redis was asked for the time that is known now.
  using HandOn = Delegate<void(const RemoteMessage& message, bool checked)>;

  BusHold(redis::ClockReader& clock, HandOn hand_on) : clock_(clock), hand_on_(hand_on) {}
  BusHold(const BusHold&) = delete;
  BusHold& operator=(const BusHold&) = delete;

  bool holds_any() const { return !kept_.empty(); }
  // False: the message is not kept, since Redis cannot be asked, or too much waits. The waiting
  // messages are delivered before that.
  bool keep(const RemoteMessage& message);
  void clear();

 private:
  struct Kept {
    std::string channel, payload, pattern;
    bool repeated;
  };

  void on_time();
  void hand_on(size_t checked);

  redis::ClockReader& clock_;
  HandOn hand_on_;
  std::vector<Kept> kept_;
  size_t bytes_ = 0;
  size_t asked_for_ = 0;  // of those kept: came before the question that is under way
};

}  // namespace nb::cell
