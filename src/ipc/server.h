// Server: the agent's local socket. It accepts, reads lines, gathers what is written to each
// client and sends it once a turn, and keeps to the limits of PROTOCOL.md, section 1: nobody can
// make it hold more than these allow, and what one client does slows no other.
//
// A line is handed out as it lies in the read buffer. Callbacks may call everything here for any
// client, stop() included, but not destroy the server. A connection that ends, for whatever
// reason, is not found any more from that moment on; on_close comes before the loop next waits,
// never from within a call.
//
// How much waits for a client, in parts of its share (output_bytes, or a quarter of that while much
// waits for its user's clients together): events are queued up to a half; beyond a half no further
// line of it is read; answers are queued up to the whole, and beyond it only the short errors in
// place of them, of which there are as many as calls that may wait. So no client is ever cut off
// for what it does not read.
//
// What one client may cost the others is bounded in time: ipc/turns.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/delegate.h"
#include "base/log.h"
#include "base/result.h"
#include "ipc/acceptor.h"
#include "ipc/admission.h"
#include "ipc/lingering.h"
#include "ipc/peer.h"
#include "ipc/session.h"
#include "ipc/session_table.h"
#include "ipc/socket_file.h"
#include "ipc/turns.h"
#include "rpc/codec.h"
#include "rpc/line_limits.h"
#include "uv/loop.h"
#include "uv/soon.h"

namespace nb::ipc {

struct ServerOptions {
  std::string path;
  uint32_t mode = 0660;
  std::optional<uint32_t> group;
  std::vector<uint32_t> allow_users, allow_groups;  // both empty: everybody
  int inherited_fd = -1;  // a listening socket to take over instead of making one at `path`
  size_t max_clients = 64;
  size_t max_clients_per_user = 0;                // 0: three quarters of max_clients
  Duration idle_after = std::chrono::seconds(5);  // then a connection may yield to a new one
  size_t line_bytes = rpc::kLineBytes;            // of a client, without the newline
  size_t output_bytes = 1024 * 1024;              // waiting for one client
  // So long a connection that the agent closes still gets the answers that it is owed. Calls wait
  // for two seconds by default; what would wait for longer is told.
  Duration answer_time = std::chrono::seconds(5);
  Duration partial_timeout = std::chrono::seconds(10);  // of a line that is not ended
};

// How a connection ended.
enum class Departure : uint8_t {
  client,  // the client closed it, or its process is gone
  agent,   // the agent closed it: of the client's process this says nothing
};

struct ServerEvents {
  Delegate<void(ClientId, const Peer&)> on_open;
  Delegate<void(ClientId, std::string_view)> on_line;  // not blank; valid during the call
  Delegate<void(ClientId, Departure)> on_close;
  Delegate<void(ClientId)> on_room;     // see tell_of_room()
  Delegate<void(ClientId)> on_drained;  // see tell_when_drained()
  // Of a connection that the agent is closing: the time to answer what it is owed begins, or is
  // over.
  Delegate<void(ClientId)> on_closing, on_overdue;
  Admission::MayYield on_may_yield;
};

struct ServerCounters {
  uint64_t accepted = 0;
  uint64_t refused = 0;  // busy or forbidden
  uint64_t cut_off = 0;  // closed for a flood of malformed lines
  uint64_t yielded = 0;  // idle ones, closed for new ones
  uint64_t faults = 0;   // malformed lines, too long or unfinished ones among them
};

class Server final : private SessionOwner {
 public:
  // `loop` and `log` must outlive it.
  Server(uv::Loop& loop, const Log& log, ServerOptions options, ServerEvents events);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() { stop(); }

  // Begins to listen. The error says in words why it cannot.
  Status start();
  // Sends what the kernel takes at once, closes all connections without on_close, and removes the
  // socket's file if it is ours. May be started again.
  void stop();

  // Where the next line for this client is to be appended, without newline, and then end_line()
  // be called, before anything else. Null if it has gone or does not listen any more.
  std::string* begin_line(ClientId client);
  void end_line(ClientId client);
  // Whether so long an answer may be queued for it, or event, once the kernel has taken what it
  // takes.
  bool has_room(ClientId client, size_t bytes);
  bool has_room_for_event(ClientId client, size_t bytes);
  // on_drained comes, never from within a call, when little waits for this client, or nothing did.
  void tell_when_drained(ClientId client);
  // Tells it what is wrong with a line of it. The connection lives, unless there are too many.
  void complain(ClientId client, const rpc::Error& error);
  // Within on_closing or later: the client has been answered all that it is owed.
  void finish(ClientId client);
  // Within on_line and on_room, after so many bytes were dealt with: the client's time is up. What
  // is still to be done of the line waits for its next turn: tell_of_room().
  bool turn_is_over(size_t bytes) {
    return turn_.after(bytes, [this] { return loop_.now(); });
  }
  // While held, no further line of this client is handed out.
  void hold(ClientId client, bool held);
  // Whether no line would be handed out now: it is held, or does not read what waits for it.
  bool is_paused(ClientId client);
  void see(MonoTime now) { turn_.see(now); }
  // Of one that is paused, or whose turn is over: on_room comes when it no longer is, before the
  // next line is handed out.
  void tell_of_room(ClientId client);

  // Whether this client's end matters: then the connection ends when the process that connected is
  // gone, though another process may hold it open (a child that inherited it), and what the client
  // has said is read to its end before strangers are served. Costs a descriptor.
  void watch_process(ClientId client, bool watch);

  // A client that cannot be answered any more, though what it sent is still worth reading.
  bool is_deaf(ClientId client) const;
  bool is_open(ClientId client) const { return sessions_.find(client) != nullptr; }
  size_t queued_bytes(ClientId client) const;
  size_t queued_bytes() const { return sessions_.unsent(); }  // of all
  size_t clients() const { return sessions_.live(); }
  size_t clients_per_user() const { return admission_.clients_per_user(); }
  uint64_t faults(ClientId client) const;
  const ServerCounters& counters() const { return counters_; }
  // How often it has begun to hand out lines: those of one reading come one right after the other.
  uint64_t readings() const { return readings_; }
  const ServerOptions& options() const { return options_; }

 private:
  void on_ready(Session& session, int events) override;
  void on_process_gone(Session& session) override;
  bool on_connection(UniqueFd& fd, int shortage);
  void on_turn();
  void on_overdue(Session& session);

  // False, for on_connection().
  bool refuse(UniqueFd& fd, const Peer& peer, bool spare, const rpc::Error& error);
  void yield(Session& session, size_t limit);
  void serve_waiting();
  void serve(Session& session);
  bool wants_turn(const Session& session) const;
  void flush_all();
  void read(Session& session);
  void discard(Session& session, int events);
  void work(Session& session);
  bool is_paused(const Session& session) const;
  size_t share_of(const Session& session) const;
  size_t half_of(const Session& session) const;
  void flush(Session& session);
  void tell_if_drained(Session& session);
  void complain(Session& session, const rpc::Error& error);
  void append_error(Session& session, const rpc::Error& error);
  void end(Session& session, Session::State how);
  void end_of_input(Session& session);
  void retire_ended();
  void watch(Session& session);

  uv::Loop& loop_;
  const Log& log_;
  ServerOptions options_;
  ServerEvents events_;
  ServerCounters counters_;
  SocketFile file_;
  Acceptor acceptor_;
  uv::Soon soon_;
  SessionPool pool_;
  SessionTable sessions_;  // after the pool that they use
  Lingering lingering_;
  ClientId last_id_ = 0;
  Admission admission_;
  uint64_t readings_ = 0;
  TurnEnd turn_;
  bool round_was_cut_ = false;
  std::vector<std::pair<Duration, Session*>> waiting_;  // reused
  std::vector<std::unique_ptr<Session>> stopped_;       // may still be on the stack
};

}  // namespace nb::ipc
