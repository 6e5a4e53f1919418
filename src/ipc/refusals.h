// Refusals: notifications that were refused for a common reason, a missing right or too many in a
// second. A line for each would double the flood that a limit has to end. So the client is told of
// the first at once, and then of all others at most once a second.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/delegate.h"
#include "rpc/call.h"
#include "rpc/error.h"
#include "uv/loop.h"
#include "uv/timer.h"

namespace nb::ipc {

class Refusals {
 public:
  struct Told {
    rpc::ClientId client = 0;
    uint64_t count = 0;  // since the client was last told
    std::string method;  // of the first of them, as is the error
    rpc::Error error;    // with the count
  };
  // Never from within note().
  using Tell = Delegate<void(const Told&)>;

  Refusals(uv::Loop& loop, Tell tell);

  // Whether refusals of this kind are reported together.
  static bool are_counted(const rpc::Error& error) {
    return error.code == rpc::kForbidden || error.code == rpc::kRateLimited;
  }
  void note(rpc::ClientId client, std::string_view method, const rpc::Error& error);
  // The client has gone.
  void forget(rpc::ClientId client);
  void clear();

 private:
  void on_time();

  uv::Loop& loop_;
  Tell tell_;
  uv::Timer timer_;  // runs while there is something to report
  MonoTime told_ = MonoTime::min();
  std::vector<Told> waiting_;  // one for each client and kind
};

}  // namespace nb::ipc
