// LinkOptions: the way to the server, and how long to wait for it. The link, the reader and the
// subscriber have the same.
#pragma once

#include <cstddef>
#include <string>

#include "base/backoff.h"
#include "redis/greeting.h"
#include "uv/address.h"

namespace nb::redis {

struct LinkOptions {
  uv::Target target;
  Greeting greeting;
  std::string prefix;  // of the cell's keys and channels (key_prefix.h)
  Duration connect_timeout = std::chrono::seconds(2);          // resolving included
  Duration command_timeout = std::chrono::milliseconds(1900);  // of the oldest outstanding command
  Duration ping_after = std::chrono::seconds(1);               // of silence
  Backoff::Limits backoff;
  Duration stable_after = std::chrono::seconds(10);  // then a failure starts the backoff anew
  size_t max_reply_bytes = 16 * 1024 * 1024;
  size_t max_output_bytes = 256 * 1024;  // beyond it no further units are taken
  bool waits_for_beat = false;           // steady not before a slot with `echo` was stored
};

// So much earlier than it has to, Redis may be asked whether it is still there. A check that comes
// next to something else then costs no wake-up of its own.
inline Duration slack(const LinkOptions& options) {
  return options.ping_after / 16;
}

// They lead to the same server, as the same user.
bool same_way(const LinkOptions& a, const LinkOptions& b);

}  // namespace nb::redis
