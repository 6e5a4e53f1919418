// What an MCP client may send over HTTP, behind the parser of HTTP: any methods, headers and
// bodies, one after the other. What comes back is HTTP with JSON, or with events that are JSON.
//
// An input is requests with a line "----" between them: the method, headers, an empty line, the
// body. SESSION in a header stands for the session that was begun last.
#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/text.h"
#include "fake_toolbox.h"
#include "http/router.h"
#include "http/server.h"
#include "json/guard.h"
#include "mcp_http/endpoint.h"
#include "require.h"

namespace {

using namespace nb;
using nb::fuzz::require;

constexpr int kTurns = 12;

// The part of `text` before `end`, which is taken off.
std::string_view take(std::string_view& text, std::string_view end) {
  const size_t at = text.find(end);
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(at == text.npos ? text.size() : at + end.size());
  return part;
}

// Fit for a line of HTTP's head.
std::string printable(std::string_view text) {
  std::string out(text.substr(0, 500));
  std::erase_if(out, [](char c) { return c < ' ' || c > '~'; });
  return out;
}

class Rig {
 public:
  Rig() {
    for (const char* method : mcp_http::Endpoint::kMethods) {
      router_.add(method, "/mcp",
                  http::Router::Handler::to<&mcp_http::Endpoint::handle>(&endpoint_));
    }
    require(server_.start().ok());
  }

  void feed(std::string_view request) {
    int ends[2];
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    const UniqueFd client(ends[0]);
    require(server_.adopt(UniqueFd(ends[1])));
    const std::string text = as_http(request);
    (void)::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL);
    std::string received;
    for (int i = 0; i < kTurns; ++i) {
      loop_.run_once(false);
      if (box_.watches > 0) box_.changed();
      read(client.get(), received);
    }
    check(received);
  }
  void end() {
    endpoint_.tools_changed();
    endpoint_.end();
    server_.flush();
  }

 private:
  std::string as_http(std::string_view request) {
    std::string_view head = take(request, "\n\n");
    std::string method(take(head, "\n"));
    std::erase_if(method, [](char c) { return c < 'A' || c > 'Z'; });
    std::string text =
        (method.empty() ? "POST" : method.substr(0, 20)) + " /mcp HTTP/1.1\r\nHost: x\r\n";
    for (int i = 0; i < 20 && !head.empty(); ++i) {
      std::string_view line = take(head, "\n");
      const std::string name = printable(trim(take(line, ":")));
      // The size is told below; the parser of HTTP has a target of its own.
      if (name.empty() || http::same_word(name, "Content-Length") ||
          http::same_word(name, "Transfer-Encoding") || http::same_word(name, "Expect")) {
        continue;
      }
      std::string value = printable(line);
      if (const size_t at = value.find("SESSION"); at != value.npos) value.replace(at, 7, session_);
      text.append(name).append(": ").append(value).append("\r\n");
    }
    text += "Content-Length: " + std::to_string(request.size()) + "\r\n\r\n";
    return text.append(request);
  }

  static void read(int fd, std::string& received) {
    char buffer[4096];
    for (ssize_t n; (n = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0;) {
      received.append(buffer, static_cast<size_t>(n));
    }
  }

  void check(std::string_view received) {
    require(received.empty() || received.starts_with("HTTP/1."));
    std::string_view body = received;
    const std::string_view head = take(body, "\r\n\r\n");
    constexpr std::string_view kSession = "Mcp-Session-Id: ";
    if (const size_t at = head.find(kSession); at != head.npos) {
      session_ = head.substr(at + kSession.size(), 32);
    }
    if (head.find("Content-Type: application/json") != head.npos) {
      require(head.find("Transfer-Encoding") == head.npos && guard_.check(body).reason == nullptr);
      require(guard_.view()["jsonrpc"].string_is("2.0"));
    }
    if (head.find("Content-Type: text/event-stream") == head.npos) return;
    while (!body.empty()) {
      std::string_view line = take(body, "\n");
      if (!line.starts_with("data: ") || body.empty()) continue;
      line.remove_prefix(6);
      require(guard_.check(line).reason == nullptr);
    }
  }

  SystemClock clock_;
  uv::Loop loop_{clock_};
  fuzz::FakeToolbox box_;
  mcp_http::Endpoint endpoint_{loop_, box_, {.sessions = 2, .ways = 4}};
  http::Router router_;
  http::Server server_{loop_,
                       {.connection_bytes = 16384, .body_bytes = 4096},
                       http::Origins(),
                       http::Router::Handler::to<&http::Router::handle>(&router_)};
  json::Guard guard_;
  std::string session_ = "none";
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  Rig rig;
  for (int i = 0; i < 10 && !input.empty(); ++i) rig.feed(take(input, "\n----\n"));
  rig.end();
  return 0;
}
