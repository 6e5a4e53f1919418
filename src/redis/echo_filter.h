// EchoFilter: tells what comes back over a subscription because this agent has published it. Pure.
//
// Redis marks no message with its sender, so a message counts as an echo if the same bytes went
// out on the same channel within the last 30 s and have not come back as often as they went out.
// One message comes in several copies, if a pattern or two match its channel besides: so copies
// are counted for each way in (plain, or the pattern), and each way gets as many echoes as there
// were sendings. A foreign message with exactly the same bytes is taken for an echo only while one
// of ours is still on its way: one of two alike comes through, which one makes no difference.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/clock.h"

namespace nb::redis {

class EchoFilter {
 public:
  // A message was put on the wire. Beyond 4096 in 30 s the oldest are forgotten.
  void sent(std::string_view channel, std::string_view payload, MonoTime now);
  // A message came in, by the plain channel (`pattern` empty) or by a pattern.
  bool is_echo(std::string_view channel, std::string_view payload, MonoTime now,
               std::string_view pattern = {});
  // Nothing that went out before comes back any more (the subscriber was away): forget it.
  void clear() { table_.reset(); }
  bool empty() const { return table_ == nullptr; }

 private:
  struct Table;
  std::unique_ptr<Table> table_;  // made at the first use
};

}  // namespace nb::redis
