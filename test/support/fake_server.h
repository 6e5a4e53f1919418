// A server that answers each request as its script says: in pieces, one a turn of the loop, and
// then closes, resets or says nothing more. Driven by pump() from the test's own loop.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/listener.h"

namespace nb::test {

class FakeServer {
 public:
  enum class Then { close, reset, stall };
  struct Reply {
    std::vector<std::string> pieces;
    Then then = Then::close;
  };
  // Asked when a request is complete: its head, and its body if it has a Content-Length.
  using Script = std::function<Reply(const std::string& request)>;

  explicit FakeServer(Script script) : script_(std::move(script)) {}

  int port() const { return listener_.port(); }
  const std::vector<std::string>& requests() const { return requests_; }
  // Connections that the client has not closed yet.
  size_t connections() const { return connections_.size(); }

  void pump() {
    while (listener_.ready()) connections_.push_back({listener_.accept(), {}, {}, 0, false});
    std::erase_if(connections_, [&](Connection& c) { return !advance(c); });
  }

  // `text` in pieces of one byte.
  static std::vector<std::string> trickle(const std::string& text) {
    std::vector<std::string> pieces;
    for (const char c : text) pieces.emplace_back(1, c);
    return pieces;
  }

 private:
  struct Connection {
    UniqueFd fd;
    std::string request;
    Reply reply;
    size_t sent = 0;
    bool answering = false;
  };

  // False once it is over.
  bool advance(Connection& c) {
    char buffer[4096];
    const ssize_t n = ::recv(c.fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) return false;
    if (n > 0) c.request.append(buffer, static_cast<size_t>(n));
    if (!c.answering) {
      if (!complete(c.request)) return true;
      c.answering = true;
      requests_.push_back(c.request);
      c.reply = script_(c.request);
    }
    if (c.sent < c.reply.pieces.size()) {
      const std::string& piece = c.reply.pieces[c.sent++];
      ::send(c.fd.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
      return true;
    }
    if (c.reply.then == Then::reset) {
      const linger now{1, 0};
      ::setsockopt(c.fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    return c.reply.then == Then::stall;
  }

  static bool complete(const std::string& request) {
    const size_t head = request.find("\r\n\r\n");
    if (head == std::string::npos) return false;
    const size_t length = request.find("Content-Length: ");
    const size_t body = length == std::string::npos
                            ? 0
                            : static_cast<size_t>(std::atoi(request.c_str() + length + 16));
    return request.size() >= head + 4 + body;
  }

  Listener listener_;
  Script script_;
  std::vector<Connection> connections_;
  std::vector<std::string> requests_;
};

}  // namespace nb::test
