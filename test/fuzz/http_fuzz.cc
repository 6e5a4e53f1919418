// What a client of the gate's HTTP server may send: any bytes in any pieces, over a real socket,
// while requests are answered at once, later, or by a stream. What comes back is HTTP, a handler
// sees nothing beyond the limits, and nothing stays open.
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/listen.h"
#include "http/server.h"
#include "require.h"

namespace {

using namespace nb;
using nb::fuzz::require;

constexpr size_t kMostBody = 1000;
constexpr int kTurns = 200;

class Rig {
 public:
  Rig() {
    server_.emplace(loop_, http::Limits{.connection_bytes = 4096, .body_bytes = kMostBody},
                    http::Origins(),
                    Delegate<void(const http::Request&, http::Reply&&)>::to<&Rig::handle>(this));
    auto listening = http::listen_on({"127.0.0.1", 0});
    require(listening.ok() && server_->start(std::move(*listening)).ok());
  }

  void feed(std::string_view input, size_t piece) {
    int ends[2];
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    const UniqueFd client(ends[0]);
    require(server_->adopt(UniqueFd(ends[1])));
    std::string received;
    // Behind a stream nothing more is read, and small pieces fill a socket soon.
    for (int refused = 0; !input.empty() && refused < kTurns;) {
      const ssize_t n = ::send(client.get(), input.data(), std::min(piece, input.size()),
                               MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno != EAGAIN) break;
      refused = n < 0 ? refused + 1 : 0;
      if (n > 0) input.remove_prefix(static_cast<size_t>(n));
      turn();
      read(client.get(), received);
    }
    ::shutdown(client.get(), SHUT_WR);
    for (int i = 0; i < kTurns && server_->figures().connections > 0; ++i) {
      turn();
      read(client.get(), received);
      // A client that has ended its sending may be kept for more of a request; one that has gone is
      // not.
      if (i == kTurns / 2) ::shutdown(client.get(), SHUT_RDWR);
    }
    require(received.empty() || received.starts_with("HTTP/1."));
    waiting_.clear();
    streams_.clear();
  }

 private:
  void turn() {
    for (http::EventStream& stream : streams_) (void)stream.write("event\n");
    for (http::Reply& reply : waiting_) reply.send({.body = "later\n"});
    waiting_.clear();
    loop_.run_once(false);
  }

  static void read(int fd, std::string& received) {
    char buffer[4096];
    for (ssize_t n; (n = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0;) {
      if (received.size() < sizeof buffer) received.append(buffer, static_cast<size_t>(n));
    }
  }

  void handle(const http::Request& request, http::Reply&& reply) {
    require(request.body.size() <= kMostBody && !request.method.empty());
    require(request.path.find('?') == std::string_view::npos);
    if (request.path == "/later") return waiting_.push_back(std::move(reply));
    if (request.path == "/none") return;
    if (request.path == "/stream") return streams_.push_back(reply.open({.body = "begin\n"}));
    reply.send({.body = std::string(request.header("X-Echo")) + std::string(request.body)});
  }

  SystemClock clock_;
  uv::Loop loop_{clock_};
  std::vector<http::Reply> waiting_;
  std::vector<http::EventStream> streams_;
  std::optional<http::Server> server_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Rig rig;
  if (size == 0) return 0;
  // The first byte says how large the pieces are.
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  rig.feed(input, 1 + data[0] * size_t{4});
  return 0;
}
