// Resolver: host name -> addresses, never on the loop's thread. Each call looks up again, since the
// network, and with it /etc/resolv.conf, may change under the agent. While a look-up hangs there is
// no second one.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "uv/address.h"
#include "uv/blocking_call.h"

namespace nb::uv {

using Addresses = std::vector<sockaddr_storage>;

// The function that resolve() calls on a thread of its own; a test passes a slow or scripted one.
using LookUp = Result<Addresses> (*)(const std::string& host, int port);

// getaddrinfo(3) with AI_ADDRCONFIG, TCP, families interleaved as RFC 8305 section 4 asks.
Result<Addresses> look_up(const std::string& host, int port);

class Resolver {
 public:
  // `on_resolved` may destroy the resolver.
  Resolver(Loop& loop, Delegate<void(Result<Addresses>&)> on_resolved,
           LookUp look_up = &uv::look_up);

  // A numeric address is answered before this returns and needs no thread. Otherwise the answer
  // comes when the system gives one; there is no deadline here. Only one at a time.
  void start(const std::string& host, int port);
  // The caller no longer waits: no answer comes, and start() may be called again. If it is for the
  // same name, the answer of a look-up that still runs is its answer.
  void abandon() { wanted_ = false; }

 private:
  void on_done();

  struct Answer;
  Delegate<void(Result<Addresses>&)> on_resolved_;
  LookUp look_up_;
  bool wanted_ = false;
  std::shared_ptr<Answer> answer_;
  BlockingCall call_;
};

}  // namespace nb::uv
