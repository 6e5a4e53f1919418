// Server: the agent's local sockets. It accepts connections, reads lines, gathers what is written
// to each client, and sends it once a turn. It keeps to the limits of PROTOCOL.md, section 1: no
// client can make it hold more than these allow, and no client slows another (ipc/turns.h).
//
// A line is handed out as it lies in the read buffer. Callbacks may call everything here for any
// client, including stop(), but must not destroy the server. A connection that has ended is no
// longer found from that moment on. on_close is called before the loop next waits, and never from
// within a call.
//
// Each client has a share of memory for what it has not read yet: output_bytes, or a quarter of
// that while much waits for all clients of its user. Events are queued up to half of the share, and
// beyond the half no further line of the client is read. Answers are queued up to the whole share;
// beyond it a short error takes the place of an answer, and there are as many errors as calls that
// may wait. So no client is ever cut off for what it does not read.
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
#include "ipc/lingering.h"
#include "ipc/peer.h"
#include "ipc/server_socket.h"
#include "ipc/session.h"
#include "ipc/session_table.h"
#include "ipc/turns.h"
#include "rpc/codec.h"
#include "rpc/line_limits.h"
#include "uv/loop.h"
#include "uv/soon.h"

namespace nb::ipc {

// The first socket, and the options for the clients of all sockets.
struct ServerOptions : SocketOptions {
  std::vector<SocketOptions> further;
  size_t line_bytes = rpc::kLineBytes;  // of a client, without the newline
  size_t output_bytes = 1024 * 1024;    // waiting for one client
  // A connection that the agent closes still gets its outstanding answers for so long. Calls wait
  // for two seconds by default; a call that would wait for longer is refused.
  Duration answer_time = std::chrono::seconds(5);
  Duration partial_timeout = std::chrono::seconds(10);  // of a line that is not ended
};

// How a connection ended.
enum class Departure : uint8_t {
  client,  // the client closed it, or its process is gone
  agent,   // the agent closed it, which says nothing about the client's process
};

struct ServerEvents {
  Delegate<void(ClientId, const Peer&)> on_open;
  Delegate<void(ClientId, std::string_view)> on_line;  // not blank; valid during the call
  Delegate<void(ClientId, Departure)> on_close;
  Delegate<void(ClientId)> on_room;     // see tell_of_room()
  Delegate<void(ClientId)> on_drained;  // see tell_when_drained()
  // The agent is closing a connection: the time for its outstanding answers begins, or is over.
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
  // `loop` and `log` must outlive the server.
  Server(uv::Loop& loop, const Log& log, ServerOptions options, ServerEvents events);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() { stop(); }

  // Begins to listen. The error says in words why that is not possible.
  Status start();
  // Sends what the kernel accepts at once, closes all connections without on_close, and removes the
  // socket's file if it is ours. May be started again.
  void stop();

  // The caller appends one line for this client, without newline, and calls end_line() before
  // anything else. Null if the client has gone or no longer reads.
  std::string* begin_line(ClientId client);
  void end_line(ClientId client);
  // Whether an answer of `bytes` bytes, or an event, may be queued for the client, after the kernel
  // has taken as much as it accepts.
  bool has_room(ClientId client, size_t bytes);
  // `spares`: and leaves half of the room that events have.
  bool has_room_for_event(ClientId client, size_t bytes, bool spares = false);
  // on_drained is called, never from within this call, as soon as little waits for this client.
  void tell_when_drained(ClientId client);
  // Sends the client an error about one of its lines. Too many such lines end the connection.
  void complain(ClientId client, const rpc::Error& error);
  // Within on_closing or later: the client has all its outstanding answers.
  void finish(ClientId client);
  // To be called within on_line and on_room, after so many bytes were processed. True: the client's
  // turn is over, and the rest of the line waits for its next turn: tell_of_room().
  bool turn_is_over(size_t bytes) {
    return turn_.after(bytes, [this] { return loop_.now(); });
  }
  // While held, no further line of this client is handed out.
  void hold(ClientId client, bool held);
  // Whether no line would be handed out now: the client is held, or does not read its output.
  bool is_paused(ClientId client);
  // Whether the client has sent data that was not read yet because it had no turn. False while it
  // is held, or does not read its answers.
  bool is_unread(ClientId client) const;
  // Whether its further data is not read, because of hold().
  bool is_held(ClientId client) const;
  void see(MonoTime now) { turn_.see(now); }
  // For a client that is paused, or whose turn is over: on_room is called when that has changed,
  // before the next line is handed out.
  void tell_of_room(ClientId client);

  // For a client with a will or a deadline. Its connection ends when the process that connected is
  // gone, even if another process holds it open (a child that inherited it), and the data of the
  // client is read to its end before new clients are served. Takes a descriptor.
  void watch_process(ClientId client, bool watch);
  // Within on_close, of its client: the descriptor of the process, if it was watched.
  UniqueFd take_process(ClientId client) {
    return client == departed_ ? std::move(departed_process_) : UniqueFd();
  }

  // Whether the client can no longer be answered, although what it sent is still carried out.
  bool is_deaf(ClientId client) const;
  bool is_open(ClientId client) const { return sessions_.find(client) != nullptr; }
  size_t queued_bytes(ClientId client) const;
  size_t queued_bytes() const { return sessions_.unsent(); }  // of all
  size_t clients() const { return sessions_.live(); }
  // The socket through which a client has connected; the first one for a client that has gone.
  const SocketOptions& socket_of(ClientId client) const;
  size_t clients_per_user(ClientId client) const;
  uint64_t faults(ClientId client) const;
  const ServerCounters& counters() const { return counters_; }
  // How often the server has begun to hand out lines. The lines of one reading follow one another
  // without a pause.
  uint64_t readings() const { return readings_; }
  const ServerOptions& options() const { return options_; }

 private:
  void on_ready(Session& session, int events) override;
  void on_process_gone(Session& session) override;
  bool on_connection(ServerSocket& entry, UniqueFd& fd, int shortage);
  const ServerSocket& entry_of(ClientId client) const;
  void on_turn();
  void on_overdue(Session& session);

  // False, for on_connection().
  bool refuse(UniqueFd& fd, const Peer& peer, bool spare, const rpc::Error& error);
  void yield(Session& session, size_t limit);
  void serve_waiting();
  void serve(Session& session);
  bool wants_turn(const Session& session) const;
  static bool comes_before_strangers(const Session& session, Duration spent);
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
  std::vector<std::unique_ptr<ServerSocket>> sockets_;
  uv::Soon soon_;
  SessionPool pool_;
  SessionTable sessions_;  // after the pool that they use
  Lingering lingering_;
  ClientId departed_ = 0;  // this client's on_close is called
  UniqueFd departed_process_;
  ClientId last_id_ = 0;
  TakenByTheGone gone_;
  uint64_t readings_ = 0;
  TurnEnd turn_;
  bool round_was_cut_ = false;
  std::vector<std::pair<Duration, Session*>> waiting_;  // reused
  std::vector<std::unique_ptr<Session>> stopped_;       // may still be on the stack
};

}  // namespace nb::ipc
