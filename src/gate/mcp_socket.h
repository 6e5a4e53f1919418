// McpSocket: the Model Context Protocol on a Unix socket, a line a message or over HTTP: the first
// byte of a connection decides which. The mode and group of the socket's file decide who may
// connect.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "gate/agent.h"
#include "gate/line_peer.h"
#include "gate/mcp_web.h"
#include "gate/toolbox.h"
#include "http/router.h"
#include "http/server.h"
#include "ipc/acceptor.h"
#include "ipc/socket_file.h"
#include "uv/loop.h"
#include "uv/soon.h"
#include "uv/stream.h"

namespace nb::gate {

class McpSocket {
 public:
  // Clients of the line protocol. A further client gets an error, and is closed.
  static constexpr size_t kMaxClients = 32;
  // That have not written anything. For a further one the oldest is closed.
  static constexpr size_t kMaxNewcomers = 64;

  struct Place {
    std::string path;
    uint32_t mode = 0660;
    std::optional<uint32_t> group;
    int inherited_fd = -1;  // a listening socket to take over instead of making one at `path`
  };

  McpSocket(uv::Loop& loop, Toolbox& toolbox, Agent& agent, McpWeb& web, const Log& log);
  McpSocket(const McpSocket&) = delete;
  McpSocket& operator=(const McpSocket&) = delete;
  ~McpSocket();

  Status start(const Place& place);
  // Tells the clients that the gate ends.
  void end();
  size_t clients() const { return clients_.size(); }

 private:
  class Client;
  class Newcomer;

  bool on_connection(UniqueFd& fd, int shortage);
  // Clients are dropped, and newcomers become clients, at the end of the turn: they may be calling.
  void look_soon() { soon_.request(); }
  void on_turn();
  void add_client(UniqueFd fd);

  uv::Loop& loop_;
  Toolbox& toolbox_;
  Agent& agent_;
  const Log& log_;
  ipc::SocketFile file_;
  ipc::Acceptor acceptor_;
  http::Router router_;
  http::Server http_;
  std::vector<std::unique_ptr<Newcomer>> newcomers_;  // the oldest first
  std::vector<std::unique_ptr<Client>> clients_;
  uv::Soon soon_;
};

}  // namespace nb::gate
