// What a client may send: any bytes in any pieces, over a real socket, while calls are answered,
// refused, deferred and answered later. What comes back is lines of JSON, whatever came; other
// pieces make no other calls; and nothing stays open.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/rpc_server.h"
#include "json/scan.h"
#include "json/view.h"
#include "require.h"

namespace {

using namespace nb;
using ipc::ClientId;
using ipc::RpcServer;
using nb::fuzz::require;

class Rig {
 public:
  Rig() {
    // An address of the kernel's choice, without a file.
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address_.sun_family = AF_UNIX;
    require(::bind(fd, reinterpret_cast<sockaddr*>(&address_), sizeof(sa_family_t)) == 0);
    size_ = sizeof address_;
    require(::getsockname(fd, reinterpret_cast<sockaddr*>(&address_), &size_) == 0);
    require(::listen(fd, 8) == 0);
    ipc::ServerOptions options;
    options.inherited_fd = fd;
    options.line_bytes = 2048;
    options.output_bytes = 16 * 1024;
    server_.emplace(
        loop_, log_, options,
        ipc::RpcEvents{Delegate<void(rpc::Call&, json::View)>::to<&Rig::on_call>(this), {}, {}});
    require(server_->start().ok());
  }

  // How many calls were made of it.
  int feed(std::string_view input, size_t piece) {
    calls_ = 0;
    received_.clear();
    const UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    require(::connect(client.get(), reinterpret_cast<sockaddr*>(&address_), size_) == 0);
    bool open = true;
    while (!input.empty() && open) {
      const std::string_view part = input.substr(0, piece);
      const ssize_t n = ::send(client.get(), part.data(), part.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) input.remove_prefix(static_cast<size_t>(n));
      if (n < 0 && errno != EAGAIN) break;
      if (n < 0) settle();  // a client with too many open calls is not read from
      loop_.run_once(false);
      open = drain(client.get());
    }
    ::shutdown(client.get(), SHUT_WR);
    for (int i = 0; i < 100'000 && open; ++i) {
      loop_.run_once(false);
      settle();
      open = drain(client.get());
    }
    require(!open);
    for (int i = 0; server_->client_count() > 0; ++i) {
      loop_.run_once(false);
      require(i < 1000);
    }
    settle();
    check_lines();
    return calls_;
  }

  // How many feeds were one.
  uint64_t floods() const { return server_->counters().cut_off; }

 private:
  void on_call(rpc::Call& call, json::View params) {
    ++calls_;
    switch (call.method.empty() ? 0 : call.method.front()) {
      case 'e':
        call.answer(params.exists() ? params.raw() : "null");
        break;
      case 'd':
        tokens_.push_back(call.put_off());
        break;
      case 'h':
        server_->set_reports_errors(call.who.client, true);
        call.answer("{}");
        break;
      case 'n':
        server_->notify(call.who.client, "{\"jsonrpc\":\"2.0\"}");
        break;  // and is not answered
      default:
        call.refuse(rpc::unknown_method(call.method, "echo"));
    }
  }

  void settle() {
    std::vector<ipc::Token> tokens;
    tokens.swap(tokens_);
    for (const ipc::Token token : tokens) {
      if (token % 2 == 0) {
        server_->answer(token, "[]");
      } else {
        server_->refuse(token, rpc::not_found("x"));
      }
      require(!server_->answer(token, "[]"));
    }
  }

  // False once the server has closed.
  bool drain(int fd) {
    char buffer[4096];
    ssize_t n;
    while ((n = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
      received_.append(buffer, static_cast<size_t>(n));
    }
    return n < 0 && errno == EAGAIN;
  }

  void check_lines() {
    std::string_view rest = received_;
    while (!rest.empty()) {
      const size_t end = rest.find('\n');
      require(end != rest.npos);
      const std::string_view line = rest.substr(0, end);
      require(json::scan(line).reason == nullptr);
      const json::View value = json::View::of(line);
      const auto check = [](json::View one) { require(one["jsonrpc"].string_is("2.0")); };
      if (value.is(json::View::Type::array)) {
        for (const json::View one : value.elements()) check(one);
      } else {
        check(value);
      }
      rest.remove_prefix(end + 1);
    }
  }

  SystemClock clock_;
  uv::Loop loop_{clock_};
  Log log_;
  sockaddr_un address_{};
  socklen_t size_ = 0;
  std::optional<RpcServer> server_;
  std::vector<ipc::Token> tokens_;
  std::string received_;
  int calls_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Rig rig;
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const uint64_t floods = rig.floods();
  const int calls = rig.feed(input, 1 + data[0]);
  const int whole = rig.feed(input, input.size() + 1);
  // A flood of malformed lines is closed after so many in a second: not at the same line each time.
  require(calls == whole || rig.floods() > floods);
  return 0;
}
