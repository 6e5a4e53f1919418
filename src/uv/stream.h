// Stream: a connected byte stream, TCP or Unix socket, with buffered writing.
//
// Each callback is the last thing the stream does in that turn of the call stack, so that it may
// destroy the stream.
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "base/delegate.h"
#include "base/unique_fd.h"
#include "uv/handle.h"
#include "uv/loop.h"

namespace nb::uv {

class Stream {
 public:
  struct Events {
    Delegate<void(int)> on_connect;            // 0 or a libuv error
    Delegate<void(std::string_view)> on_data;  // valid during the call only
    Delegate<void(int)> on_end;                // UV_EOF or an error; at most once
    Delegate<void()> on_drain;                 // all that was queued has been given to the kernel
  };

  Stream(Loop& loop, Events events);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Begins to connect; on_connect says how it ended. A negative result is a libuv error, and no
  // callback follows. There is no deadline here. TCP gets NODELAY, keepalive 15/5/3 and
  // TCP_USER_TIMEOUT 6 s, a backstop behind the deadlines of the caller.
  int connect_tcp(const sockaddr_storage& address);
  // Takes over a Unix socket that is connected. 0, or a libuv error, and the socket is closed.
  int open_unix(UniqueFd fd);

  // After connecting: the callbacks of the new owner, from here on.
  void set_events(Events events) { events_ = events; }
  // Begins to read; the callbacks come on later turns.
  int start_reading();
  void stop_reading();

  // Writes `bytes` and leaves it empty: what the kernel takes at once costs no copy and keeps the
  // buffer's capacity; the rest moves into a queued request. 0 or a libuv error: then drop the
  // stream. Raises SIGPIPE if the peer has gone (libuv writes without MSG_NOSIGNAL), so the thread
  // that runs the loop must block it.
  int write(std::string& bytes);
  // Given to write() and not yet taken by the kernel.
  size_t queued_bytes() const;

 private:
  struct WriteRequest;
  struct ConnectRequest;
  static void on_connected(uv_connect_t* request, int status) noexcept;
  static void on_alloc(uv_handle_t* raw, size_t hint, uv_buf_t* buffer) noexcept;
  static void on_read(uv_stream_t* raw, ssize_t n, const uv_buf_t* buffer) noexcept;
  static void on_written(uv_write_t* request, int status) noexcept;
  uv_stream_t* raw() const;
  void end(int error);

  Loop& loop_;
  Events events_;
  // connect_tcp() or open_unix() decides which of the two is used.
  Handle<uv_tcp_t> tcp_;
  Handle<uv_pipe_t> pipe_;
};

}  // namespace nb::uv
