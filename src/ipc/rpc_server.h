// RpcServer: JSON-RPC over the local socket. It turns lines into calls, and answers into lines;
// what the calls mean is the business of whoever is told of them.
//
// Callbacks may call everything here, for any client, but not destroy the server. Each call that
// on_call is given has, when it returns, been answered, refused or deferred; a request that was
// not is answered with `internal`. on_close never comes from within a call of this class.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/pending.h"
#include "ipc/server.h"
#include "wire/json_guard.h"
#include "wire/json_view.h"
#include "wire/jsonrpc.h"
#include "wire/line_limits.h"

namespace nb::ipc {

// One call, valid while on_call runs. A default one is a notification of nobody: what a last will
// holds is carried out as such.
struct Call {
  ClientId client = 0;
  std::string_view method;
  wire::JsonView params;  // an object, or missing
  std::string_view id;    // raw; empty: a notification
  uint32_t batch = 0;     // 0: it came alone

  bool is_notification() const { return id.empty(); }
};

struct RpcEvents {
  Delegate<void(const Call&)> on_call;
  Delegate<void(ClientId, const Peer&)> on_open;
  Delegate<void(ClientId)> on_close;
};

struct RpcCounters {
  uint64_t accepted = 0, refused = 0, cut_off = 0;       // connections
  uint64_t requests = 0, notifications = 0, errors = 0;  // calls
};

struct ClientInfo {
  ClientId id = 0;
  Peer peer;
  MonoTime connected{};
  uint64_t calls = 0, errors = 0;
  size_t queued_bytes = 0;
};

class RpcServer {
 public:
  static constexpr size_t kMaxBatch = wire::kBatchCalls;
  // Deferred calls of one client. Beyond them no further call of this client is begun until some
  // are answered: neither of its next line, nor of the batch at hand.
  static constexpr size_t kMaxPending = wire::kWaitingCalls;

  // `loop` and `log` must outlive it.
  RpcServer(uv::Loop& loop, const Log& log, ServerOptions options, RpcEvents events);
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  Status start() { return server_.start(); }
  // Closes all connections, without on_close; deferred answers are dropped.
  void stop();

  // Within on_call, once for each call; nothing happens for a notification.
  void answer(const Call& call, std::string_view result_json);
  // A refused notification is counted, and told if the client wants to know.
  void refuse(const Call& call, const wire::RpcError& error);
  // The call will be answered later. 0 for a notification. `weight`: as how many it counts.
  Token defer(const Call& call, size_t weight = 1);

  // Nothing happens if the client has gone, or for 0; true if there was somebody to answer.
  bool answer(Token token, std::string_view result_json);
  bool refuse(Token token, const wire::RpcError& error);

  // Sends a complete object, such as an event, without its newline. False if the client has gone.
  bool notify(ClientId client, std::string_view line_json);
  // Whether it is told of notifications that were refused.
  void set_reports_errors(ClientId client, bool reports);
  // The longest line that this client reads, without its newline: what it said in its hello, else
  // wire::kLineBytes. An answer that would be longer is refused as `too_large`; a list cuts itself
  // to fit. Also for a client that has gone.
  size_t max_line_bytes(ClientId client) const;
  void set_max_line_bytes(ClientId client, size_t bytes);
  // The longest result that fits into a line of so many bytes, whatever the id of its call.
  static size_t result_bytes(size_t line_bytes);
  size_t max_result_bytes(ClientId client) const { return result_bytes(max_line_bytes(client)); }

  size_t queued_bytes(ClientId client) const { return server_.queued_bytes(client); }
  RpcCounters counters() const;
  // Whoever looked at the clock says so: the turn of the client at hand may be over.
  void see(MonoTime now) { server_.see(now); }
  // As of Server.
  uint64_t readings() const { return server_.readings(); }
  std::vector<ClientInfo> clients() const;
  size_t client_count() const { return server_.clients(); }
  const ServerOptions& options() const { return server_.options(); }

 private:
  struct Client {
    ClientId id;
    Peer peer;
    MonoTime connected;
    uint64_t calls = 0, errors = 0;
    size_t line_bytes = wire::kLineBytes;  // it reads no longer ones
    size_t pending = 0;
    size_t answered = 0;  // bytes of answers that wait for the rest of their batch
    bool reports_errors = false;
    bool held = false;
    // The calls of a batch that have not begun, since too much is under way: "[{...},{...}]". One
    // batch only: while it waits, no further line of this client is handed out.
    std::string rest;
    uint32_t rest_batch = 0;  // 0: there is no rest
  };

  void on_open(ClientId client, const Peer& peer);
  void on_line(ClientId client, std::string_view line);
  void on_close(ClientId client);
  void on_room(ClientId client);
  Client* find(ClientId client) const;
  void take_call(ClientId client, wire::JsonView value, uint32_t batch);
  void take_batch(ClientId client, wire::JsonView values);
  void take_calls(ClientId client, wire::JsonView values, uint32_t batch);
  void count_error(ClientId client);
  void settle_in_batch(uint32_t batch);
  void add_to_batch(uint32_t batch);
  void flush_batch(uint32_t batch);
  void send_result(ClientId client, std::string_view id, uint32_t batch, std::string_view result);
  void send_error(ClientId client, std::string_view id, uint32_t batch,
                  const wire::RpcError& error);
  void release(ClientId client, size_t weight);

  uv::Loop& loop_;
  const Log& log_;
  RpcEvents events_;
  Server server_;
  wire::JsonGuard guard_;
  PendingTable pending_;
  BatchTable batches_;
  mutable std::vector<Client> clients_;  // by id, ascending
  mutable size_t last_found_ = 0;
  std::string method_;    // of the call at hand, if it was escaped
  std::string one_;       // an answer on its way into a batch
  bool settled_ = false;  // the call at hand
  uint64_t requests_ = 0, notifications_ = 0, errors_ = 0;
};

}  // namespace nb::ipc
