// Admission: who of those that connect gets one of the connections. One user has a share of them, a
// few are left for root, and idle ones yield: so nobody is locked out by connections that nobody
// uses, and none is closed as long as there is room.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/delegate.h"
#include "ipc/peer.h"
#include "ipc/session.h"
#include "rpc/error.h"

namespace nb::ipc {

class Admission {
 public:
  struct Limits {
    size_t clients = 0;
    size_t clients_per_user = 0;  // 0: three quarters
    Duration idle_after{};        // then a connection may yield
  };
  // Asked of one that has been silent for long: whether it must not be closed for another one.
  using MayYield = Delegate<void(ClientId, bool& needed)>;

  struct Verdict {
    Session* yields = nullptr;          // is to be closed for the new one
    size_t limit = 0;                   // then: how many connections there may be
    std::optional<rpc::Error> refusal;  // there is no room
  };

  Admission(const Limits& limits, MayYield may_yield) : limits_(limits), may_yield_(may_yield) {}

  size_t clients_per_user() const {
    return limits_.clients_per_user != 0 ? limits_.clients_per_user
                                         : limits_.clients - limits_.clients / 4;
  }
  Verdict ask(const std::vector<std::unique_ptr<Session>>& sessions, const Peer& peer,
              MonoTime now);

 private:
  Limits limits_;
  MayYield may_yield_;
  // Nobody could yield when it was last looked: among all, and among the clients of a user who had
  // used up the share.
  MonoTime none_until_{};
  MonoTime none_of_user_until_{};
  uint32_t user_ = 0;  // who that was
};

// What a client is told when there is no descriptor for it. `shortage` is EMFILE or ENFILE.
rpc::Error out_of_descriptors(int shortage);

}  // namespace nb::ipc
