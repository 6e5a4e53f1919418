// Session: one connection: its descriptor, the lines that come in, the bytes that wait to go out.
// It does as it is told; what ends a connection and when is the server's business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/line_framer.h"
#include "base/unique_fd.h"
#include "ipc/peer.h"
#include "ipc/turns.h"
#include "uv/loop.h"
#include "uv/poll.h"

namespace nb::ipc {

using ClientId = uint64_t;  // never used twice

// Buffers that nobody needs at the moment, so that a busy server allocates nothing, and an idle
// connection holds nothing.
class BufferPool {
 public:
  std::string take();
  void give_back(std::string& buffer);  // leaves it empty

 private:
  static constexpr size_t kMaxBytes = 128 * 1024;

  std::vector<std::string> spare_;
  size_t bytes_ = 0;
};

class Session;

class SessionOwner {
 public:
  virtual void on_ready(Session& session, int events) = 0;  // UV_READABLE, ...

 protected:
  ~SessionOwner() = default;
};

class Session {
 public:
  enum class End : uint8_t {
    no,
    eof,     // the peer closed: what waits for it is still sent, if it listens
    fault,   // an error line is the last thing it gets, and it has time to read it
    cut_off  // nothing more
  };

  // What recv() and send() came to.
  enum class Io : uint8_t { done, again, ended };

  Session(uv::Loop& loop, SessionOwner& owner, BufferPool& buffers, UniqueFd fd, ClientId id,
          const Peer& peer, size_t line_bytes);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  ClientId id() const { return id_; }
  const Peer& peer() const { return peer_; }

  // 0, or a libuv error: then it cannot be used.
  int watch(int events) { return poll_.watch(events); }
  // Into `buffer`; `bytes` is what came.
  Io receive(uv_buf_t buffer, std::string_view& bytes);
  // Gives the kernel what it takes. `ended`: nobody listens any more; what waited is dropped.
  Io send();
  void finish_sending();  // the peer reads to here and no further
  bool peer_has_hung_up() const;

  std::string& output();
  size_t unsent() const { return output_.size() - sent_; }
  LineFramer& framer() { return framer_; }

  // What the server notes about it.
  End ended = End::no;
  bool deaf = false;            // nobody listens
  bool held = false;            // no lines for now, says the server's user
  bool waits_for_room = false;  // on_room comes before the next line
  bool ready = false;           // it may be read from
  bool half_closed = false;     // the peer sends no more, seen while not reading
  bool resume = false;          // lines may be waiting that need no reading
  bool blocked = false;         // the kernel takes no more for now
  bool lingering = false;       // ended and told; only what is under way is still brought to an end
  bool finished = false;        // finish_sending() was called
  std::optional<MonoTime> deadline;
  Spent spent;

 private:
  void on_poll(int events) { owner_.on_ready(*this, events); }

  SessionOwner& owner_;
  BufferPool& buffers_;
  ClientId id_;
  Peer peer_;
  UniqueFd fd_;
  LineFramer framer_;
  std::string output_;
  size_t sent_ = 0;  // of output_
  uv::Poll poll_;    // after fd_: it lets go of it before it is closed
};

}  // namespace nb::ipc
