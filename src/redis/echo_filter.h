// EchoFilter: tells what comes back over a subscription because this agent has published it. Pure.
//
// Redis marks no message with its sender. So a message counts as an echo if the same bytes went
// out on the same channel within the last 30 s, and have not come back yet as often as they went
// out. One message comes in several copies if patterns match its channel besides; so what has come
// back is counted for each way in (the plain channel, each pattern), and a sending is good for one
// copy by each. Of a foreign message alike to ours one comes through, and which does not matter;
// only while ours is still on its way, or never came back, is the foreign one lost.
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

  // A message was put on the wire. Of more than 4096 in 30 s (fewer if they came back by several
  // ways) the oldest are forgotten.
  void sent(std::string_view channel, std::string_view payload, MonoTime now);
  // A message came in, by the plain channel (`pattern` empty) or by a pattern.
  bool is_echo(std::string_view channel, std::string_view payload, MonoTime now,
               std::string_view pattern);
  // Gives the memory back: nothing is subscribed to any more.
  void clear();

 private:
  struct Table;
  std::unique_ptr<Table> table_;  // made at the first sending; its pages are touched as they fill
};

}  // namespace nb::redis
