// Link: the socket to the agent, worked in steps. Each step makes one non-blocking system call, so
// a push can take one. The link knows nothing of lines. Not locked.
//
//   down ── connect ──▶ up ── a call failed ──▶ broken ── read to its end ──▶ down
//
// The old socket is closed before the next one connects. Otherwise the agent would keep the old
// client and its will.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
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
    broken  // the agent has closed the connection; its last lines can still be read
  };
  enum class Step {
    idle,       // there is nothing to do yet; no call was made
    busy,       // one call was made, and there may be more to do
    connected,  // one call was made, and the link is up
    failed      // one call was made, and it failed: error()
  };

  // `path` is shorter than sun_path. `pause_ns`: least time between two tries.
  Link(std::string_view path, int64_t pause_ns);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  State state() const { return state_; }
  bool up() const { return state_ == State::up; }
  int fd() const { return socket_.fd; }
  int error() const { return error_; }
  const char* path() const { return address_.sun_path; }

  // One step towards a connection; only while it is down.
  Step advance(int64_t now_ns);
  // The time at which advance() has something to do, while the link is down.
  int64_t due_ns() const { return dead_.fd >= 0 ? 0 : next_try_ns_; }

  // The number of bytes that the kernel took; 0 if it has no room now; -1 if the connection is lost
  // (error()).
  ptrdiff_t send(const iovec* pieces, size_t count);
  // The number of bytes read; 0 if there are none now; -1 if the agent has closed the connection
  // (error() is 0), or it is lost.
  ptrdiff_t receive(char* buffer, size_t size);

  // The connection is no longer used for sending. It can still be read.
  void set_broken() { state_ = State::broken; }
  // Nothing more is read either.
  void drop();
  // For a child that inherited the descriptors: closes the child's copies. A descriptor that the
  // child has closed itself, and whose number now belongs to something else, is left alone.
  void abandon();

 private:
  // A socket of ours, and the number by which the kernel knows it: a descriptor's number may belong
  // to another socket by now.
  struct Socket {
    int fd = -1;
    ino_t id = 0;  // 0: not asked for yet
  };

  Step failed(int64_t now_ns);

  sockaddr_un address_{};
  int64_t pause_ns_;
  int64_t next_try_ns_ = 0;
  State state_ = State::down;
  Socket socket_;
  Socket spare_;  // for the next connection
  Socket dead_;   // of the last connection, which must be closed
  int error_ = 0;
};

}  // namespace nb::client
