// Endpoint: MCP's Streamable HTTP at one path. Requests of 2026-07-28 stand for themselves; clients
// of the older revisions have a session, which their `initialize` begins.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "http/reply.h"
#include "json/guard.h"
#include "mcp/message.h"
#include "mcp/toolbox.h"
#include "mcp_http/peer.h"
#include "uv/loop.h"
#include "uv/soon.h"
#include "uv/timer.h"

namespace nb::mcp_http {

struct Limits {
  // Of older clients. For a further one the session that was not used for longest ends.
  size_t sessions = 64;
  // Answers that are waited for, and streams, of all clients.
  size_t ways = 96;
  // The life of an unused session.
  Duration idle = std::chrono::minutes(10);
};

class Endpoint {
 public:
  // `toolbox` must outlive the endpoint.
  Endpoint(uv::Loop& loop, mcp::Toolbox& toolbox) : Endpoint(loop, toolbox, Limits{}) {}
  Endpoint(uv::Loop& loop, mcp::Toolbox& toolbox, Limits limits);
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;
  ~Endpoint();

  // For the router.
  static constexpr const char* kMethods[] = {"POST", "GET", "DELETE"};
  void handle(const http::Request& request, http::Reply&& reply);

  // To all clients that want to know.
  void tools_changed();
  void log(mcp::LogWord level, std::string_view words);
  // The server ends: streams get their last words.
  void end();

  size_t sessions() const;
  // Of all peers.
  size_t open_ways() const;

 private:
  using PeerPtr = std::unique_ptr<Peer>;

  void on_post(const http::Request& request, http::Reply&& reply);
  void on_get(const http::Request& request, http::Reply&& reply);
  void on_delete(const http::Request& request, http::Reply&& reply);
  void on_older(const http::Request& request, const mcp::Message& message, http::Reply&& reply);

  Peer* add_peer(std::string session);
  // Null, and an answer was sent, if the request's session is none.
  Peer* session_of(const http::Request& request, std::string_view id, http::Reply& reply);
  bool make_room_for_a_session();
  // False, and an answer was sent, if too many wait.
  bool has_room(std::string_view id, http::Reply& reply) const;

  // Something was answered. Peers that have nothing left go at the end of the turn: they are
  // calling.
  void on_less() { soon_.request(); }
  void on_turn();
  void on_look();

  uv::Loop& loop_;
  mcp::Toolbox& toolbox_;
  Limits limits_;
  json::Guard guard_;
  std::vector<PeerPtr> peers_;
  uv::Soon soon_;
  uv::Timer look_;
};

}  // namespace nb::mcp_http
