#include "uv/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cstring>

namespace nb::uv {

struct Stream::ConnectRequest {
  uv_connect_t raw{};
};

// Owns its bytes until the kernel has taken them, also if the stream has gone by then.
struct Stream::WriteRequest {
  uv_write_t raw{};
  std::string bytes;
};

namespace {

void set_option(int fd, int level, int name, int value) {
  // A backstop only: where the kernel does not know one, the deadlines above still work.
  (void)::setsockopt(fd, level, name, &value, sizeof value);
}

}  // namespace

Stream::Stream(Loop& loop, Events events) : loop_(loop), events_(events) {}

uv_stream_t* Stream::raw() const {
  return tcp_ ? tcp_.as<uv_stream_t>() : pipe_.as<uv_stream_t>();
}

int Stream::connect_tcp(const sockaddr_storage& address) {
  // The _ex form makes the descriptor now, so that options hold for the connecting too.
  int rc = tcp_.init(
      this, [&](uv_tcp_t* raw) { return uv_tcp_init_ex(loop_.raw(), raw, address.ss_family); });
  if (rc < 0) return rc;
  uv_os_fd_t fd = -1;
  if (uv_fileno(tcp_.as<uv_handle_t>(), &fd) == 0) {
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 15);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 6000);
  }
  auto* request = new ConnectRequest;
  rc = uv_tcp_connect(&request->raw, tcp_.get(), reinterpret_cast<const sockaddr*>(&address),
                      &Stream::on_connected);
  if (rc < 0) delete request;
  return rc;
}

int Stream::open_unix(UniqueFd fd) {
  int rc = pipe_.init(this, [&](uv_pipe_t* raw) { return uv_pipe_init(loop_.raw(), raw, 0); });
  if (rc == 0) rc = uv_pipe_open(pipe_.get(), fd.get());
  if (rc == 0) (void)fd.release();
  return rc;
}

void Stream::on_connected(uv_connect_t* request, int status) noexcept {
  auto* self = owner_of<Stream>(request->handle);
  delete reinterpret_cast<ConnectRequest*>(request);
  if (self != nullptr) self->events_.on_connect(status);
}

int Stream::start_reading() {
  return uv_read_start(raw(), &Stream::on_alloc, &Stream::on_read);
}

void Stream::stop_reading() {
  uv_read_stop(raw());
}

void Stream::on_alloc(uv_handle_t* raw, size_t, uv_buf_t* buffer) noexcept {
  auto* self = owner_of<Stream>(raw);
  *buffer = self != nullptr ? self->loop_.read_buffer() : uv_buf_init(nullptr, 0);
}

void Stream::on_read(uv_stream_t* raw, ssize_t n, const uv_buf_t* buffer) noexcept {
  auto* self = owner_of<Stream>(raw);
  if (self == nullptr || n == 0) return;  // 0 is EAGAIN
  if (n < 0) {
    self->end(static_cast<int>(n));
  } else {
    self->events_.on_data(std::string_view(buffer->base, static_cast<size_t>(n)));
  }
}

void Stream::end(int error) {
  uv_read_stop(raw());
  const auto on_end = std::exchange(events_.on_end, {});
  on_end(error);
}

int Stream::write(std::string& bytes) {
  if (bytes.empty()) return 0;
  size_t done = 0;
  if (queued_bytes() == 0) {
    const uv_buf_t buffer = uv_buf_init(bytes.data(), static_cast<unsigned>(bytes.size()));
    const int n = uv_try_write(raw(), &buffer, 1);
    if (n < 0 && n != UV_EAGAIN) return n;
    if (n > 0) done = static_cast<size_t>(n);
    if (done == bytes.size()) {
      bytes.clear();
      return 0;
    }
  }
  auto* request = new WriteRequest;
  request->bytes = std::exchange(bytes, {});
  const uv_buf_t rest = uv_buf_init(request->bytes.data() + done,
                                    static_cast<unsigned>(request->bytes.size() - done));
  const int rc = uv_write(&request->raw, raw(), &rest, 1, &Stream::on_written);
  if (rc < 0) delete request;
  return rc;
}

size_t Stream::queued_bytes() const {
  return uv_stream_get_write_queue_size(raw());
}

void Stream::on_written(uv_write_t* request, int status) noexcept {
  auto* self = owner_of<Stream>(request->handle);
  delete reinterpret_cast<WriteRequest*>(request);
  if (self == nullptr) return;
  if (status < 0) {
    self->end(status);
  } else if (self->queued_bytes() == 0) {
    self->events_.on_drain();
  }
}

}  // namespace nb::uv
