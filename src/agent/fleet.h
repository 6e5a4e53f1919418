// Fleet: system.status. However many ask, one walk over the cell is under way at a time; all who
// asked before it began share what it finds, each with a page of his own. The next walk begins no
// sooner after the last than that took, so that who asks in a loop has half of Redis' time at most.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/cell_walk.h"
#include "agent/discovery.h"
#include "agent/operation.h"
#include "agent/request.h"
#include "uv/soon.h"
#include "uv/timer.h"

namespace nb::agent {

class Heartbeat;

class Fleet {
 public:
  // All references must outlive it.
  Fleet(uv::Loop& loop, ipc::RpcServer& rpc, redis::Reader& reader, const Operations& operations,
        const Heartbeat& heartbeat, std::string_view own_node);
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  void status(Request& request);
  void on_client_closed(ipc::ClientId client);
  // Nobody is answered any more.
  void stop();

 private:
  struct Caller {
    ipc::ClientId client = 0;
    ipc::Token token = 0;
    size_t limit = 0;
    std::string from;  // the page begins behind this node
  };

  void begin_soon();
  void begin();
  void on_walk_done();
  void on_turn();
  std::string page(const Cell& cell, const Caller& caller) const;

  uv::Loop& loop_;
  ipc::RpcServer& rpc_;
  redis::Reader& reader_;
  const Operations& operations_;
  const Heartbeat& heartbeat_;
  std::string own_node_;
  Discovery discovery_;
  std::vector<Caller> waiting_;  // for the next walk
  std::vector<Caller> callers_;  // for the one at hand
  std::unique_ptr<CellWalk> walk_;
  bool done_ = false;  // the walk is
  MonoTime rest_until_ = MonoTime::min();
  RoomPause pause_;
  uv::Soon soon_;
  uv::Timer rest_;
};

}  // namespace nb::agent
