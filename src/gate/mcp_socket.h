// McpSocket: the Model Context Protocol on a Unix socket, a line a message. The mode and group of
// the socket's file decide who may connect.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "gate/agent.h"
#include "gate/line_peer.h"
#include "gate/toolbox.h"
#include "ipc/acceptor.h"
#include "ipc/socket_file.h"
#include "uv/loop.h"
#include "uv/soon.h"
#include "uv/stream.h"

namespace nb::gate {

class McpSocket {
 public:
  // A further client is told so, and closed.
  static constexpr size_t kMaxClients = 32;

  struct Place {
    std::string path;
    uint32_t mode = 0660;
    std::optional<uint32_t> group;
    int inherited_fd = -1;  // a listening socket to take over instead of making one at `path`
  };

  McpSocket(uv::Loop& loop, Toolbox& toolbox, Agent& agent, const Log& log);
  McpSocket(const McpSocket&) = delete;
  McpSocket& operator=(const McpSocket&) = delete;
  ~McpSocket();

  Status start(const Place& place);
  // Tells the clients that the gate ends.
  void end();
  size_t clients() const { return clients_.size(); }

 private:
  class Client;

  bool on_connection(UniqueFd& fd, int shortage);
  // The client is dropped at the end of the turn: it may be calling.
  void drop_soon() { soon_.request(); }
  void on_turn();

  uv::Loop& loop_;
  Toolbox& toolbox_;
  Agent& agent_;
  const Log& log_;
  ipc::SocketFile file_;
  ipc::Acceptor acceptor_;
  std::vector<std::unique_ptr<Client>> clients_;
  uv::Soon soon_;
};

}  // namespace nb::gate
