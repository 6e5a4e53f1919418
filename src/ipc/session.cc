#include "ipc/session.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace nb::ipc {
namespace {

// A string of less capacity has no buffer on the heap that could be given back.
constexpr size_t kInPlace = sizeof(std::string);
constexpr size_t kStep = 64 * 1024;

using State = Session::State;

constexpr unsigned bit(State state) {
  return 1u << static_cast<unsigned>(state);
}

// The table in the header.
constexpr unsigned states_after(State from) {
  switch (from) {
    case State::open:
      return bit(State::deaf) | bit(State::orphaned) | bit(State::closing) | bit(State::draining) |
             bit(State::explaining) | bit(State::over);
    case State::deaf:
      return bit(State::orphaned) | bit(State::explaining) | bit(State::over);
    case State::orphaned:
    case State::closing:
      return bit(State::explaining) | bit(State::over);
    case State::explaining:
      return bit(State::draining) | bit(State::over);
    case State::draining:
      return bit(State::over);
    case State::over:
      return 0;
  }
  return 0;
}

}  // namespace

std::string BufferPool::take() {
  if (spare_.empty()) return {};
  std::string buffer = std::move(spare_.back());
  spare_.pop_back();
  bytes_ -= buffer.capacity();
  return buffer;
}

void BufferPool::give_back(std::string& buffer) {
  buffer.clear();
  if (bytes_ + buffer.capacity() <= kMaxBytes) {
    bytes_ += buffer.capacity();
    spare_.push_back(std::exchange(buffer, {}));
  } else {
    std::string().swap(buffer);
  }
}

Session::Session(uv::Loop& loop, SessionOwner& owner, SessionPool& pool, UniqueFd fd, ClientId id,
                 const Peer& peer, size_t line_bytes)
    : spent(kStranger, loop.now()),
      loop_(loop),
      owner_(&owner),
      pool_(pool),
      id_(id),
      peer_(peer),
      fd_(std::move(fd)),
      framer_(line_bytes),
      poll_(loop, fd_.get(), Delegate<void(int)>::to<&Session::on_poll>(this)) {}

Session::~Session() {
  pool_.waiting.add(peer_.uid, -static_cast<std::ptrdiff_t>(counted_));
  if (output_.capacity() > kInPlace) pool_.buffers.give_back(output_);
}

bool Session::become(State next) {
  if ((states_after(state_) & bit(next)) == 0) return false;
  state_ = next;
  closed_by_agent_ |= next == State::closing || next == State::explaining;
  return true;
}

void Session::watch_process(bool watch) {
  if (!watch) {
    process_poll_.reset();
    process_.reset();
    return;
  }
  if (process_) return;
  process_ = process_of(fd_.get(), peer_);
  if (!process_) return;
  process_poll_ = std::make_unique<uv::Poll>(loop_, process_.get(),
                                             Delegate<void(int)>::to<&Session::on_process>(this));
  process_poll_->watch(UV_READABLE);
}

UniqueFd Session::take_process() {
  process_poll_.reset();
  return std::move(process_);
}

Session::Io Session::receive(uv_buf_t buffer, std::string_view& bytes) {
  ssize_t n;
  do {
    n = ::recv(fd_.get(), buffer.base, buffer.len, MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n > 0) {
    bytes = std::string_view(buffer.base, static_cast<size_t>(n));
    return Io::done;
  }
  // A lack of memory here says nothing about the peer, whose will would be carried out at an end.
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM)
             ? Io::again
             : Io::ended;
}

bool Session::has_input() const {
  char byte;
  return ::recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

Session::Io Session::discard() {
  if (!may_discard()) return Io::again;
  std::string_view bytes;
  const Io result = receive(loop_.read_buffer(), bytes);
  if (result == Io::done) discarded_ += bytes.size();
  return result;
}

Session::Io Session::send() {
  Io result = Io::done;
  while (unsent() > 0 && result == Io::done) {
    // Never SIGPIPE: the agent may be part of another program's process.
    const ssize_t n =
        ::send(fd_.get(), output_.data() + sent_, unsent(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      sent_ += static_cast<size_t>(n);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM) {
      result = Io::again;
    } else if (errno != EINTR) {
      result = Io::ended;
      sent_ = output_.size();
    }
  }
  if (unsent() == 0) {
    sent_ = 0;
    output_.clear();
    if (output_.capacity() > kInPlace) pool_.buffers.give_back(output_);
  } else if (sent_ >= output_.size() / 2) {
    output_.erase(0, std::exchange(sent_, 0));
  }
  count_output();
  return result;
}

void Session::finish_sending() {
  ::shutdown(fd_.get(), SHUT_WR);
}

std::string& Session::output() {
  if (output_.empty() && output_.capacity() <= kInPlace) output_ = pool_.buffers.take();
  // A large buffer grows in steps. By itself, or by reserve(), its size would double.
  if (output_.size() > kStep && output_.capacity() - output_.size() < kStep) {
    std::string larger;
    larger.reserve(output_.size() + 2 * kStep);
    larger.append(output_, sent_);
    sent_ = 0;
    output_.swap(larger);
  }
  return output_;
}

void Session::count_output() {
  pool_.waiting.add(peer_.uid,
                    static_cast<std::ptrdiff_t>(unsent()) - static_cast<std::ptrdiff_t>(counted_));
  counted_ = unsent();
}

}  // namespace nb::ipc
