// Admission: decides which clients get a connection. Each user has a share of the connections, a
// few are left for root, and idle connections yield. So unused connections keep no other client
// out, and no connection is closed as long as there is room.
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
  // Sets `needed` if the client, which has been silent for long, must not be closed for another.
  using MayYield = Delegate<void(ClientId, bool& needed)>;

  struct Verdict {
    Session* yields = nullptr;          // this session is to be closed for the new one
    size_t limit = 0;                   // the number of connections that was reached
    std::optional<rpc::Error> refusal;  // why the new client gets no connection
  };

  // Of the sessions of one socket; those of others do not count.
  Admission(const Limits& limits, MayYield may_yield, uint8_t socket = 0)
      : limits_(limits), may_yield_(may_yield), socket_(socket) {}

  size_t clients_per_user() const {
    return limits_.clients_per_user != 0 ? limits_.clients_per_user
                                         : limits_.clients - limits_.clients / 4;
  }
  Verdict ask(const std::vector<std::unique_ptr<Session>>& sessions, const Peer& peer,
              MonoTime now);

 private:
  Limits limits_;
  MayYield may_yield_;
  uint8_t socket_;
  // No session could yield when the sessions were last searched: all of them, or those of a user
  // who had used up the share.
  MonoTime none_until_{};
  MonoTime none_of_user_until_{};
  uint32_t user_ = 0;  // that user
};

// The error for a client when there is no descriptor for it. `shortage` is EMFILE or ENFILE.
rpc::Error out_of_descriptors(int shortage);

}  // namespace nb::ipc
