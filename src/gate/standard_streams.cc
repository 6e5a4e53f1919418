#include "gate/standard_streams.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

namespace nb::gate {
namespace {

// The same pipe or terminal, opened once more: O_NONBLOCK must not be set for processes that share
// the other description, such as the shell. Sockets cannot be opened; no process shares those of a
// client.
UniqueFd open_again(int fd, int flags) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  return UniqueFd(::open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
}

bool is_for_polling(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) != 0 || !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
}

// A file must not be opened again: the place in it would be the beginning.
UniqueFd own(int fd, int flags) {
  return is_for_polling(fd) ? open_again(fd, flags) : UniqueFd();
}

}  // namespace

StandardStreams::StandardStreams(uv::Loop& loop, int in, int out, Events events)
    : loop_(loop),
      events_(events),
      own_in_(own(in, O_RDONLY)),
      own_out_(own(out, O_WRONLY)),
      in_(own_in_ ? own_in_.get() : in),
      out_(own_out_ ? own_out_.get() : out),
      in_poll_(loop, in_, Delegate<void(int)>::to<&StandardStreams::on_readable>(this)),
      out_poll_(loop, out_, Delegate<void(int)>::to<&StandardStreams::on_writable>(this)),
      soon_(loop, Delegate<void()>::to<&StandardStreams::on_turn>(this)) {}

void StandardStreams::start_reading() {
  reading_ = true;
  // What cannot be polled (a file, /dev/null) can always be read.
  is_file_ = in_poll_.watch(UV_READABLE) != 0;
  if (is_file_) soon_.request();
}

void StandardStreams::stop_reading() {
  reading_ = false;
  if (!is_file_) in_poll_.watch(0);
}

void StandardStreams::on_turn() {
  if (!reading_) return;
  soon_.request();
  read_some();
}

void StandardStreams::read_some() {
  const uv_buf_t buffer = loop_.read_buffer();
  const ssize_t n = ::read(in_, buffer.base, buffer.len);
  if (n > 0) return events_.on_data(std::string_view(buffer.base, static_cast<size_t>(n)));
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  stop_reading();
  std::exchange(events_.on_end, {})();
}

void StandardStreams::write(std::string& bytes) {
  if (output_.empty()) {
    output_.swap(bytes);
  } else {
    output_ += bytes;
    bytes.clear();
  }
  if (written_ == 0) write_some();
}

void StandardStreams::write_some() {
  while (written_ < output_.size()) {
    const ssize_t n = ::write(out_, output_.data() + written_, output_.size() - written_);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) {
      const int error = errno;
      out_poll_.watch(0);
      output_.clear();
      written_ = 0;
      return std::exchange(events_.on_broken, {})(error);
    }
    written_ += static_cast<size_t>(n);
  }
  if (written_ == output_.size()) {
    output_.clear();
    written_ = 0;
  }
  out_poll_.watch(output_.empty() ? 0 : UV_WRITABLE);
  events_.on_drain();
}

}  // namespace nb::gate
