// Session: one connection: its descriptor, the lines that come in, the bytes that wait to go out,
// and the state that it is in. The server decides when the state changes; the table below says
// which changes there are.
//
//   from         to
//   open         deaf, orphaned, closing, draining, explaining, over
//   deaf         orphaned, explaining, over
//   orphaned     explaining, over
//   closing      explaining, over
//   explaining   draining, over
//   draining     over
//
// A session in one of the first four states is live: its client has a number that is found. The
// last three are ends: the client is told of as gone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/line_framer.h"
#include "base/unique_fd.h"
#include "ipc/peer.h"
#include "ipc/turns.h"
#include "ipc/user_shares.h"
#include "rpc/call.h"
#include "uv/loop.h"
#include "uv/poll.h"

namespace nb::ipc {

using rpc::ClientId;

// Buffers that are not in use, so that a busy server allocates nothing, and an idle connection
// holds nothing.
class BufferPool {
 public:
  std::string take();
  void give_back(std::string& buffer);  // leaves it empty

 private:
  static constexpr size_t kMaxBytes = 128 * 1024;

  std::vector<std::string> spare_;
  size_t bytes_ = 0;
};

// What the sessions of one server share.
struct SessionPool {
  BufferPool buffers;
  UserShares waiting;  // the output that waits for the clients of each user
};

class Session;

class SessionOwner {
 public:
  virtual void on_ready(Session& session, int events) = 0;  // UV_READABLE, ...
  virtual void on_process_gone(Session&) {}                 // see watch_process()

 protected:
  ~SessionOwner() = default;
};

class Session {
 public:
  enum class State : uint8_t {
    open,      // The client may send calls, and they are answered.
    deaf,      // The client is gone. Its calls are carried out to the end, and not answered.
    orphaned,  // As deaf, but another process holds the connection: not all that comes is the
               // client's.
    // The agent closes it. No further call is carried out; pending calls are still answered.
    closing,
    explaining,  // It is over. The last line says why, and the client has time to read it.
    draining,    // It is over. The waiting output is still sent.
    over,        // It is over, and nothing more is sent.
  };

  // The result of receive() and send().
  enum class Io : uint8_t { done, again, ended };

  Session(uv::Loop& loop, SessionOwner& owner, SessionPool& pool, UniqueFd fd, ClientId id,
          const Peer& peer, size_t line_bytes);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  State state() const { return state_; }
  // Changes the state, if the table has that change. Else nothing happens: false.
  bool become(State next);
  bool is_live() const { return state_ < State::explaining; }
  // Whether its calls are carried out.
  bool is_heard() const { return state_ < State::closing; }
  // Whether its output has no reader, although its calls may still be worth reading.
  bool is_deaf() const {
    return state_ == State::deaf || state_ == State::orphaned || state_ == State::over;
  }
  // Of one that has ended: whether the agent has closed it, and not the client.
  bool closed_by_agent() const { return closed_by_agent_; }

  ClientId id() const { return id_; }
  const Peer& peer() const { return peer_; }

  void set_owner(SessionOwner& owner) { owner_ = &owner; }
  // Returns 0, or a libuv error: then the session cannot be used.
  int watch(int events) { return poll_.watch(events); }
  // Reads into `buffer`; `bytes` is the part of it that was filled.
  Io receive(uv_buf_t buffer, std::string_view& bytes);
  // Whether the kernel has bytes that were not read yet.
  bool has_input() const;
  // Reads and drops what came, so that the peer can write until it has read why the connection is
  // closed. Stops at a limit, for a peer that never stops writing.
  Io discard();
  bool may_discard() const { return discarded_ < kMostDiscarded; }
  // Gives the kernel as much as it takes. `ended`: the peer no longer reads; what waited is
  // dropped.
  Io send();
  void finish_sending();  // the peer will see the end of the stream
  int fd() const { return fd_.get(); }
  // Whether on_process_gone is called when the process that connected is gone. It is never called
  // where that cannot be known (process_of()).
  void watch_process(bool watch);
  // It has been called, and is not called again. The descriptor stays.
  void end_process_watch() { process_poll_.reset(); }
  // The descriptor of the process that was watched, if there is one.
  UniqueFd take_process();

  // The caller appends to it, and then calls count_output().
  std::string& output();
  void count_output();
  size_t unsent() const { return output_.size() - sent_; }
  LineFramer& framer() { return framer_; }
  const LineFramer& framer() const { return framer_; }

  // Notes of the server.
  uint8_t socket = 0;           // by which it came
  bool input_ended = false;     // while closing
  int last_reads = 0;           // while orphaned
  bool tells_drained = false;   // on_drained comes when little waits
  bool end_matters = false;     // the client has a will
  bool held = false;            // Server::hold()
  bool waits_for_room = false;  // on_room comes before the next line
  bool ready = false;           // it may be read from
  bool half_closed = false;     // the peer has ended its sending
  bool resume = false;          // lines that were read already may wait
  bool blocked = false;         // the kernel takes no more for now
  bool finished = false;        // finish_sending() was called
  std::optional<MonoTime> deadline;
  Spent spent;
  Duration taken{};            // of the agent's time, in all
  MonoTime last_heard{};       // when a line came last, or the connection
  MonoTime malformed_until{};  // see Server::complain()
  uint64_t faults = 0;         // malformed lines

 private:
  static constexpr size_t kMostDiscarded = 256 * 1024;

  void on_poll(int events) { owner_->on_ready(*this, events); }
  void on_process(int) { owner_->on_process_gone(*this); }

  uv::Loop& loop_;
  SessionOwner* owner_;
  SessionPool& pool_;
  ClientId id_;
  State state_ = State::open;
  bool closed_by_agent_ = false;
  Peer peer_;
  UniqueFd fd_;
  LineFramer framer_;
  std::string output_;
  size_t sent_ = 0;     // of output_
  size_t counted_ = 0;  // bytes that are counted in pool_.waiting
  size_t discarded_ = 0;
  uv::Poll poll_;  // after fd_, so that polling ends before the descriptor is closed
  UniqueFd process_;
  std::unique_ptr<uv::Poll> process_poll_;  // after process_
};

}  // namespace nb::ipc
