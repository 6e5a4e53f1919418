// EventReader: reads recorded events of the past, and waits for new ones, over a connection of its
// own. So a reading has its own subscriptions, and ends with its owner.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gate/agent.h"
#include "uv/loop.h"
#include "uv/soon.h"
#include "uv/timer.h"

namespace nb::gate {

class EventReader {
 public:
  struct Wish {
    std::vector<std::string> channels, patterns;
    // Where to begin: behind this event (or timestamp), or with the last so many, or now.
    std::string since;
    int64_t last = 0;
    std::string node;   // only events that this node has recorded; empty: all
    size_t most = 100;  // events; of the past the latest are kept
    size_t most_bytes =
        0;  // of their JSON together, some thousand; a longer event is reported by its size
    Duration wait{};  // for the first event of the present; zero: only the past is wanted
  };
  struct Heard {
    std::vector<std::string> events;  // each a JSON object
    std::string cursor;               // the id of the last event, or where it began
    size_t left_out = 0;  // events that had no room: older ones, or those behind the cursor
    size_t missed = 0;    // gaps
    std::optional<CallFailure> failure;
  };

  // `on_done` comes once, and may destroy the reader.
  EventReader(uv::Loop& loop, std::string socket, Wish wish, Delegate<void(Heard&)> on_done);

 private:
  void on_inspected(const CallAnswer& answer);
  void on_event(const AgentEvent& event);
  void on_presence(bool there);
  void on_subscribed(const CallFailure* failure);
  void on_replayed(std::string_view mark);
  void on_time();
  void on_turn();
  void take(std::string event, std::string_view id);
  void fail(const CallFailure& failure);

  uv::Loop& loop_;
  Wish wish_;
  Delegate<void(Heard&)> on_done_;
  Log silent_;
  Heard heard_;
  size_t bytes_ = 0;
  bool is_full_ = false;
  bool past_has_come_ = false;
  std::string scratch_;
  Agent agent_;
  AgentCall inspect_;
  std::optional<AgentListener> listener_;
  uv::Timer time_;
  uv::Soon done_;
};

}  // namespace nb::gate
