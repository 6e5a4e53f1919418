// Link: the socket to the agent, in steps of one non-blocking system call each, so that a push can
// take one of them. It knows no lines. Not locked.
//
//   down ── connect ──▶ up ── a call failed ──▶ broken ── read to its end ──▶ down
//
// The old socket is closed before the next connects: the agent must not keep a client, and its
// will, of which nobody knows any more.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace nb::client {

class Link {
 public:
  enum class State {
    down,   // no connection
    up,     // connected
    broken  // the agent has closed; its last words may still be read
  };
  enum class Step {
    idle,       // nothing to do yet; no call was made
    busy,       // one call was made; there may be more to do
    connected,  // one call was made, and now it is up
    failed      // one call was made, and failed: error()
  };

  // `path` is shorter than sun_path. `pause_ns`: least time between two tries.
  Link(std::string_view path, int64_t pause_ns);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  State state() const { return state_; }
  bool up() const { return state_ == State::up; }
  int fd() const { return fd_; }
  int error() const { return error_; }
  const char* path() const { return address_.sun_path; }

  // One step towards a connection; only while it is down.
  Step advance(int64_t now_ns);
  // When advance() has something to do, while it is down.
  int64_t due_ns() const { return dead_ >= 0 ? 0 : next_try_ns_; }

  // Bytes taken; 0 if there is no room now; -1 if the connection is lost (error()).
  ptrdiff_t send(const iovec* pieces, size_t count);
  // Bytes read; 0 if there are none now; -1 if the agent has closed (error() 0) or it is lost.
  ptrdiff_t receive(char* buffer, size_t size);

  // The connection is of no use any more; it can still be read.
  void set_broken() { state_ = State::broken; }
  // Nothing more to be read.
  void drop();
  // In a child that inherited them: closes its copies of the descriptors. One that the child has
  // closed itself, and whose number is something else by now, is left alone.
  void abandon();

 private:
  Step failed(int64_t now_ns);
  bool leads_to_agent(int fd) const;

  sockaddr_un address_{};
  int64_t pause_ns_;
  int64_t next_try_ns_ = 0;
  State state_ = State::down;
  int fd_ = -1;
  int spare_ = -1;  // for the next connection
  int dead_ = -1;   // of the last one; to be closed
  int error_ = 0;
};

}  // namespace nb::client
