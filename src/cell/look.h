// Look: the state of the cell's nodes and of the server: health.get, system.status, node.history,
// redis.inspect; and node.forget, for a node that is gone permanently.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/delegate.h"
#include "cell/operation.h"
#include "fleet/fleet.h"
#include "rpc/method.h"

namespace nb::cell {

class Look {
 public:
  // All references must outlive it. `own_health`: the last health of this node, JSON; "null" or
  // empty before the first beat. `is_watched`: whether an agent watches the leases of the cell.
  Look(uv::Loop& loop, redis::Reader& reader, rpc::FrontEnd& front, Operations& operations,
       const std::string& own_node, Delegate<std::string_view()> own_health,
       Delegate<bool()> is_watched);

  static const rpc::Method kMethods[5];
  void health(rpc::Call& call);
  void status(rpc::Call& call);
  void history(rpc::Call& call);
  void forget(rpc::Call& call);
  void inspect(rpc::Call& call);

  void on_client_closed(rpc::ClientId client) { fleet_.on_client_closed(client); }
  // Drops all questions; no more answers come.
  void stop() { fleet_.stop(); }

 private:
  void answer_status(uint64_t token, std::string_view page) { front_.answer(token, page); }

  const Clock& clock_;
  rpc::FrontEnd& front_;
  Operations& operations_;
  const std::string& own_node_;
  Delegate<std::string_view()> own_health_;
  fleet::Fleet fleet_;
};

}  // namespace nb::cell
