// ServerSocket: one socket of the server: its file, the clients that may connect, and their rights.
// Rights and limits belong to the socket, so permissions of files decide who has them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/delegate.h"
#include "base/log.h"
#include "base/result.h"
#include "ipc/acceptor.h"
#include "ipc/admission.h"
#include "ipc/socket_file.h"
#include "rpc/rights.h"

namespace nb::ipc {

struct SocketOptions {
  std::string path;
  uint32_t mode = 0660;
  std::optional<uint32_t> group;
  std::vector<uint32_t> allow_users, allow_groups;  // both empty: everybody
  int inherited_fd = -1;  // a listening socket to take over instead of making one at `path`
  size_t max_clients = 64;
  size_t max_clients_per_user = 0;                // 0: three quarters of max_clients
  Duration idle_after = std::chrono::seconds(5);  // then a connection may yield to a new one
  rpc::Rights rights = rpc::Rights::all();
  uint64_t calls_per_second = 0;  // of one client; 0: no limit
  uint64_t events_per_second = 0;
  // The configuration does not ask for this socket: if it cannot be served, the reason is logged,
  // and it is no error.
  bool may_be_missing = false;
};

class ServerSocket {
 public:
  // The callee takes the descriptor; as of Acceptor.
  using OnConnection = Delegate<bool(ServerSocket&, UniqueFd&, int shortage)>;

  // `log` and `options` must outlive it. `number`: of the socket, which its sessions have as well.
  ServerSocket(uv::Loop& loop, const Log& log, const SocketOptions& options, uint8_t number,
               OnConnection on_connection, Admission::MayYield may_yield);
  ServerSocket(const ServerSocket&) = delete;
  ServerSocket& operator=(const ServerSocket&) = delete;

  Status start();
  void stop();

  const SocketOptions& options() const { return options_; }
  uint8_t number() const { return number_; }
  Admission& admission() { return admission_; }
  const Admission& admission() const { return admission_; }

 private:
  Status open();
  bool on_connection(UniqueFd& fd, int shortage) { return on_connection_(*this, fd, shortage); }

  const Log& log_;
  const SocketOptions& options_;
  uint8_t number_;
  OnConnection on_connection_;
  SocketFile file_;
  Acceptor acceptor_;
  Admission admission_;
};

}  // namespace nb::ipc
