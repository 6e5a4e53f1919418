// EchoFilter: recognizes messages that come back over a subscription because this agent has
// published them. Pure.
//
// Redis does not mark messages with their sender. So a message counts as an echo if the same bytes
// went out on the same channel within the last 30 s, and have not come back yet as often as they
// went out. If patterns match the channel as well, one message comes in several copies. So the
// copies are counted for each way in (the plain channel, each pattern), and each publication
// accounts for one copy by each way. If a foreign message has the same bytes as ours, one of the
// two comes through, and it does not matter which. The foreign one is lost only while ours is still
// on its way, or if ours never came back.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/clock.h"

namespace nb::redis {

class EchoFilter {
 public:
  EchoFilter();
  ~EchoFilter();

  // A message goes out. Of more than 4096 within 30 s (fewer if they came back by several ways) the
  // oldest are forgotten.
  void sent(std::string_view channel, std::string_view payload, MonoTime now);
  // Whether a message that came in, by the plain channel (`pattern` empty) or a pattern, is ours.
  bool is_echo(std::string_view channel, std::string_view payload, MonoTime now,
               std::string_view pattern);
  // Gives the memory back, when nothing is subscribed to any longer.
  void clear();

 private:
  struct Table;
  std::unique_ptr<Table> table_;  // made at the first sending; its pages are touched as they fill
};

}  // namespace nb::redis
