// RpcServer: JSON-RPC over the local socket. It turns lines into calls, and answers into lines. The
// room that receives the calls knows their meaning.
//
// Each call is answered. This also holds when the agent closes its connection for a fault: calls
// that wait for Redis are answered first, or refused as `timeout` after a few seconds.
//
// Callbacks may call everything here, for any client, but not destroy the server. Each call that
// on_call receives has been answered, refused or put off when on_call returns; a request that was
// not is answered with `internal`. on_close never comes from within a call of this class.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/histogram.h"
#include "ipc/pending.h"
#include "ipc/refusals.h"
#include "ipc/server.h"
#include "json/guard.h"
#include "json/view.h"
#include "rpc/call.h"
#include "rpc/codec.h"
#include "rpc/front_end.h"
#include "rpc/line_limits.h"

namespace nb::ipc {

struct RpcEvents {
  // The call is valid while this runs; `params` is an object, or missing.
  Delegate<void(rpc::Call&, json::View params)> on_call;
  Delegate<void(ClientId, const Peer&)> on_open;
  Delegate<void(ClientId, Departure)> on_close;
  // As of Server, for conditions that this class does not know: a will, a subscription.
  Delegate<void(ClientId, bool& needed)> on_may_yield;
};

struct RpcCounters {
  uint64_t accepted = 0, refused = 0, cut_off = 0, yielded = 0;  // connections
  uint64_t events_lost = 0;
  uint64_t requests = 0, notifications = 0, errors = 0;  // calls
  uint64_t forbidden = 0, rate_limited = 0;              // of the errors
};

struct ClientInfo {
  ClientId id = 0;
  Peer peer;
  MonoTime connected{};
  uint64_t calls = 0, errors = 0;
  size_t queued_bytes = 0;
};

class RpcServer final : public rpc::FrontEnd {
 public:
  static constexpr size_t kMaxBatch = rpc::kBatchCalls;
  // Deferred calls of one client. Beyond them no further call of this client is begun until some
  // are answered: neither of its next line, nor of the batch at hand.
  static constexpr size_t kMaxPending = rpc::kWaitingCalls;

  // `loop` and `log` must outlive it.
  RpcServer(uv::Loop& loop, const Log& log, ServerOptions options, RpcEvents events);
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  Status start() { return server_.start(); }
  // Closes all connections, without on_close; deferred answers are dropped.
  void stop();

  bool answer(rpc::Token token, std::string_view result_json) override;
  bool refuse(rpc::Token token, const rpc::Error& error) override;
  bool notify(ClientId client, std::string_view line_json) override;
  bool notify_if_room(ClientId client, std::string_view line_json) override;
  void notify_gap(ClientId client, WallTime from, WallTime to) override;
  void pause_reading(ClientId client, bool paused) override;
  // As of Server.
  bool is_unread(ClientId client) const { return server_.is_unread(client); }
  bool is_held(ClientId client) const { return server_.is_held(client); }
  void watch_process(ClientId client, bool watch) { server_.watch_process(client, watch); }
  UniqueFd take_process(ClientId client) { return server_.take_process(client); }
  // Reports with `client.error` the result of calls that have been answered, or are never answered,
  // if the client wants these reports.
  void report(ClientId client, std::string_view method, const rpc::Error& error) override;
  // Whether the client is told of notifications that were refused.
  void set_reports_errors(ClientId client, bool reports);
  // The value of the client's hello, else rpc::kLineBytes.
  size_t max_line_bytes(ClientId client) const override;
  void set_max_line_bytes(ClientId client, size_t bytes);

  size_t queued_bytes(ClientId client) const override;
  size_t queued_bytes() const override;
  RpcCounters counters() const;
  // From when a call came until it was answered or under way.
  const Histogram& accept_latency() const { return accept_latency_; }
  std::vector<ClientInfo> clients() const;
  // As of Server.
  const SocketOptions& socket_of(ClientId client) const { return server_.socket_of(client); }
  size_t clients_per_user(ClientId client) const { return server_.clients_per_user(client); }
  size_t client_count() const { return server_.clients(); }
  const ServerOptions& options() const { return server_.options(); }

 private:
  class LineReply;
  struct Client {
    ClientId id;
    Peer peer;
    MonoTime connected;
    rpc::Rights rights;
    rpc::ClientLimits limits;
    uint64_t calls = 0, errors = 0;
    size_t line_bytes = rpc::kLineBytes;  // it reads no longer ones
    size_t pending = 0;
    size_t answered = 0;  // bytes of answers that wait for the rest of their batch
    bool reports_errors = false;
    bool full = false;     // pause_reading()
    bool held = false;     // because of pending calls
    bool closing = false;  // as soon as nothing is pending
    uint64_t lost = 0;     // events since the last that was queued
    WallTime gap_from{};   // of an event.gap that is still to be sent; 0: none
    // The calls of a batch that have not begun, since too much is under way: "[{...},{...}]". One
    // batch only: while it waits, no further line of this client is handed out.
    std::string rest;
    uint32_t rest_batch = 0;  // 0: there is no rest
  };

  void on_open(ClientId client, const Peer& peer);
  void on_line(ClientId client, std::string_view line);
  void on_close(ClientId client, Departure departure);
  void on_may_yield(ClientId client, bool& needed);
  void on_closing(ClientId client);
  void on_overdue(ClientId client);
  void on_drained(ClientId client);
  void lose(Client& client);
  void tell_gap(Client& client, WallTime to);
  void hold(Client& client);
  void on_room(ClientId client);
  Client* find(ClientId client) const;
  void take_call(ClientId client, json::View value, uint32_t batch);
  void take_batch(ClientId client, json::View values);
  void take_calls(ClientId client, json::View values, uint32_t batch);
  void count_error(ClientId client);
  void count_error(ClientId client, const rpc::Error& error);
  void tell(const Refusals::Told& told);
  void settle_in_batch(uint32_t batch);
  void add_to_batch(uint32_t batch);
  void flush_batch(uint32_t batch);
  void send_result(ClientId client, std::string_view id, uint32_t batch, std::string_view result);
  void send_error(ClientId client, std::string_view id, uint32_t batch, const rpc::Error& error);
  void release(ClientId client, size_t weight);
  rpc::Token defer(ClientId client, std::string_view id, uint32_t batch, size_t weight);

  uv::Loop& loop_;
  const Log& log_;
  RpcEvents events_;
  Server server_;
  json::Guard guard_;
  PendingTable pending_;
  BatchTable batches_;
  mutable std::vector<Client> clients_;  // by id, ascending
  mutable size_t last_found_ = 0;
  std::string method_;    // of the call at hand, if it was escaped
  std::string one_;       // an answer on its way into a batch
  uint64_t reading_ = 0;  // of the last call
  MonoTime ended_{};      // and when it was dealt with
  Histogram accept_latency_;
  Refusals refusals_;
  uint64_t requests_ = 0, notifications_ = 0, errors_ = 0, events_lost_ = 0;
  uint64_t forbidden_ = 0, rate_limited_ = 0;
};

}  // namespace nb::ipc
