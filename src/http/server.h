// Server: HTTP/1.1 on libmicrohttpd, which parses and writes; on the caller's loop, without a
// thread.
//
// libmicrohttpd has an epoll descriptor of its own, which the loop watches. It is told to go on
// when that is readable, when a timeout of its own is due, and after an answer that came later.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/delegate.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "http/message.h"
#include "http/origin.h"
#include "http/reply.h"
#include "uv/loop.h"
#include "uv/poll.h"
#include "uv/soon.h"
#include "uv/timer.h"

struct MHD_Daemon;

namespace nb::http {

struct Limits {
  // Beyond it the connection that has waited longest without a whole request is closed.
  unsigned connections = 256;
  // For one connection: its headers, and a piece of its output.
  size_t connection_bytes = 32 * 1024;
  size_t body_bytes = 1024 * 1024;
  // Of all bodies together.
  size_t bodies_bytes = 64 * 1024 * 1024;
  // Of a stream that its client does not read.
  size_t unread_bytes = 256 * 1024;
  // Without a request; for a request, from its first line to its end; for a client to read an
  // answer; and without any byte read or written.
  Duration idle = std::chrono::seconds(60);
  Duration request = std::chrono::seconds(10);
  Duration answer = std::chrono::seconds(60);
  Duration silence = std::chrono::seconds(30);
};

struct ServerFigures {
  uint64_t requests = 0;   // that reached the handler
  uint64_t refused = 0;    // by their Host, Origin or size
  uint64_t timeouts = 0;   // connections that took too long
  uint64_t displaced = 0;  // connections that were closed for others
  uint64_t cut_off = 0;    // streams whose clients did not read
  size_t connections = 0;
};

class Connection;

class Server {
 public:
  using Handler = Delegate<void(const Request&, Reply&&)>;

  Server(uv::Loop& loop, Limits limits, Origins origins, Handler handler);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // Closes all connections. Replies and streams may outlive the server: their clients have gone
  // then.
  ~Server();

  // Begins to serve on `listening`, a socket of listen_on() or of the service manager. Without a
  // socket only adopted connections are served.
  Status start(UniqueFd listening = {});
  // Serves a connected Unix socket as well, whose requests need no `Host`. After start().
  bool adopt(UniqueFd connected);

  // Writes at once as much as possible: before the server ends.
  void flush();

  const ServerFigures& figures() const { return figures_; }
  // Of requests that are not answered yet.
  size_t held_body_bytes() const { return bodies_; }

 private:
  friend class Connection;
  friend class Exchange;
  struct Callbacks;  // of libmicrohttpd

  void on_ready(int events);
  void on_due() { run(); }
  void on_sweep();
  void run();
  // Soon, since a callback of libmicrohttpd may be on the stack.
  void run_soon() { soon_.request(); }

  void on_connected(Connection& connection);
  void on_closed(Connection* connection);
  void displace_one(const Connection& newest);

  uv::Loop& loop_;
  Limits limits_;
  Origins origins_;
  Handler handler_;
  ServerFigures figures_;
  size_t bodies_ = 0;  // bytes
  MHD_Daemon* daemon_ = nullptr;
  std::vector<Connection*> connections_;
  std::unique_ptr<uv::Poll> poll_;
  uv::Timer due_;
  uv::Timer sweep_;
  uv::Soon soon_;
};

}  // namespace nb::http
