// A scripted Redis for what the real one never does: half replies, silence, rubbish. Steps are
// driven from the test: what arrived is looked at, what to answer is said.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <string>
#include <string_view>

#include "support/listener.h"

namespace nb::test {

class FakeRedis {
 public:
  int port() const { return listener_.port(); }

  // Accepts a waiting connection in place of the one before; true if there was one.
  bool accept() {
    if (!listener_.ready()) return false;
    peer_ = listener_.accept();
    received_.clear();
    ++connections_;
    return true;
  }
  int connections() const { return connections_; }

  // Everything this connection has sent so far.
  const std::string& received() {
    char chunk[4096];
    ssize_t n = 0;
    while (peer_ && (n = ::recv(peer_.get(), chunk, sizeof chunk, MSG_DONTWAIT)) > 0) {
      received_.append(chunk, static_cast<size_t>(n));
    }
    return received_;
  }
  bool received_has(std::string_view text) { return received().find(text) != std::string::npos; }
  // The same without a turn of the loop under test: it has to be on its way already.
  bool gets(std::string_view text) {
    while (!received_has(text)) {
      const size_t before = received_.size();
      pollfd readable{peer_.get(), POLLIN, 0};
      if (::poll(&readable, 1, 5000) != 1 || received().size() == before) return false;
    }
    return true;
  }
  void forget() { received_.clear(); }

  void send(std::string_view text) {
    ASSERT_EQ(::send(peer_.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // The other side has closed this connection.
  bool is_closed() {
    (void)received();
    char byte;
    return peer_ && ::recv(peer_.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
  }

  // Ends the connection: with a FIN, or with a reset.
  void close() { peer_.reset(); }
  void reset() {
    const linger hard{1, 0};
    ::setsockopt(peer_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    peer_.reset();
  }

 private:
  Listener listener_;
  UniqueFd peer_;
  std::string received_;
  int connections_ = 0;
};

}  // namespace nb::test
