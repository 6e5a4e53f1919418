// A scripted agent for what the real one seldom does: not there, not reading, gone in the middle of
// a line, talking rubbish. Steps are driven from the test.
#pragma once

#include <sys/socket.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/listener.h"

namespace nb::test {

class FakeAgent {
 public:
  explicit FakeAgent(std::string path) : path_(std::move(path)) { start(); }

  // Listens; ends listening and all connections.
  void start() { listener_ = std::make_unique<Listener>(path_); }
  void stop() {
    listener_.reset();
    close();
  }

  // Takes a waiting connection in place of the one before; true if there was one.
  bool accept() {
    if (listener_ == nullptr || !listener_->ready()) return false;
    peer_ = listener_->accept();
    received_.clear();
    return static_cast<bool>(peer_);
  }
  bool connected() const { return static_cast<bool>(peer_); }

  // The whole lines that have come since the last call, without newlines.
  std::vector<std::string> lines() {
    char chunk[65536];
    ssize_t n = 0;
    while (peer_ && (n = ::recv(peer_.get(), chunk, sizeof chunk, MSG_DONTWAIT)) > 0) {
      received_.append(chunk, static_cast<size_t>(n));
    }
    std::vector<std::string> lines;
    size_t end = 0;
    while ((end = received_.find('\n')) != received_.npos) {
      lines.push_back(received_.substr(0, end));
      received_.erase(0, end + 1);
    }
    return lines;
  }
  // What came after the last newline.
  const std::string& half_line() const { return received_; }

  // At most `size` bytes, to make a little room.
  void read_some(size_t size) {
    std::string chunk(size, '\0');
    const ssize_t n = ::recv(peer_.get(), chunk.data(), size, MSG_DONTWAIT);
    if (n > 0) received_.append(chunk, 0, static_cast<size_t>(n));
  }

  // False if the client has gone.
  bool send(std::string_view text) {
    return ::send(peer_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
           static_cast<ssize_t>(text.size());
  }
  // As send(), however long it takes the client to read it all.
  bool send_all(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::send(peer_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (n < 0) return false;
      text.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  void close() { peer_.reset(); }
  int fd() const { return peer_.get(); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::unique_ptr<Listener> listener_;
  UniqueFd peer_;
  std::string received_;
};

}  // namespace nb::test
