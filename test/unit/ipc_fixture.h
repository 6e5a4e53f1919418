// A server of the local socket with a few methods of its own, for the tests of its rules.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/text.h"
#include "ipc/rpc_server.h"
#include "support/captured_log.h"
#include "support/socket_client.h"
#include "support/stepped_clock.h"
#include "support/temp_tree.h"
#include "support/test_loop.h"

namespace nb::ipc {

using namespace std::chrono_literals;
using test::SocketClient;
using test::SteppedClock;

// A server with a few methods of its own.
class Ipc : public testing::Test {
 protected:
  void start() {
    server = std::make_unique<RpcServer>(
        loop.loop(), log, options,
        RpcEvents{Delegate<void(rpc::Call&, json::View)>::to<&Ipc::on_call>(this),
                  Delegate<void(ClientId, const Peer&)>::to<&Ipc::on_open>(this),
                  Delegate<void(ClientId, Departure)>::to<&Ipc::on_close>(this),
                  Delegate<void(ClientId, bool&)>::to<&Ipc::on_may_yield>(this)});
    const Status status = server->start();
    ASSERT_TRUE(status.ok()) << status.error().message;
  }

  void on_call(rpc::Call& call, json::View params) {
    ++calls;
    last_client = call.who.client;
    last_rights = call.who.rights;
    closed_at_last_call = closed.size();
    if (call.method == "echo") {
      call.answer(params.exists() ? params.raw() : "{}");
    } else if (call.method == "dear") {
      clock.ahead += 500us;
      order += params["who"].string(scratch)->front();
      call.answer("{}");
    } else if (call.method == "later") {
      tokens.push_back(call.put_off());
    } else if (call.method == "read") {
      tokens.push_back(call.put_off(RpcServer::kMaxPending / 4));
    } else if (call.method == "forbidden") {
      call.refuse(rpc::forbidden(call.method, rpc::Right::state, "/s"));
    } else if (call.method == "counted") {
      const Duration wait = call.who.limits->calls.take(call.began);
      wait > 0ms ? call.refuse(rpc::rate_limited("calls", wait)) : call.answer("{}");
    } else if (call.method == "bad") {
      call.refuse(rpc::invalid_params("x", "expected a text"));
    } else if (call.method == "big") {
      big = '"' + std::string(static_cast<size_t>(*params["bytes"].integer()), 'x') + '"';
      call.answer(big);
    } else if (call.method == "event") {
      server->notify(call.who.client, R"({"jsonrpc":"2.0","method":"event","params":{}})");
      call.answer("{}");
    } else if (call.method == "all") {
      for (const ClientId client : open) server->notify(client, "{\"n\":1}");
      call.answer("{}");
    } else if (call.method == "flood") {
      for (int i = 0; i < 40; ++i)
        server->notify(call.who.client, '"' + std::string(50'000, 'x') + '"');
      call.answer("{}");
    } else if (call.method == "stop") {
      server->stop();
      call.answer("{}");
    } else if (call.method == "errors") {
      server->set_reports_errors(call.who.client, true);
      call.answer("{}");
    } else if (call.method != "nothing") {
      call.refuse(rpc::unknown_method(call.method, ""));
    }
  }
  void on_open(ClientId client, const Peer& peer) {
    open.push_back(client);
    last_peer = peer;
  }
  void on_close(ClientId client, Departure departure) {
    closed.push_back(client);
    last_departure = departure;
    std::erase(open, client);
  }

  void on_may_yield(ClientId client, bool& is_needed) {
    is_needed = std::find(needed.begin(), needed.end(), client) != needed.end();
  }

  std::unique_ptr<SocketClient> connect() { return connect(options.path); }
  std::unique_ptr<SocketClient> connect(const std::string& path) {
    auto client = std::make_unique<SocketClient>(path);
    EXPECT_TRUE(client->connected());
    return client;
  }
  std::unique_ptr<SocketClient> accepted() {
    const size_t before = open.size();
    auto client = connect();
    EXPECT_TRUE(loop.run_until([&] { return open.size() > before; }));
    return client;
  }
  // What comes back for this text, when so many lines have come.
  std::string reply(SocketClient& client, std::string_view text, long lines = 1) {
    client.send(text);
    return lines_of(client, lines);
  }
  std::string lines_of(SocketClient& client, long lines) {
    size_t seen = 0;
    long ended = 0;
    EXPECT_TRUE(loop.run_until([&] {
      const std::string& got = client.received();
      ended += std::count(got.begin() + static_cast<ptrdiff_t>(seen), got.end(), '\n');
      seen = got.size();
      return ended >= lines;
    })) << client.received().substr(0, 1000);
    return client.take();
  }
  // What a new client gets for this text until it is closed.
  std::string last_words(std::string_view text) {
    auto client = connect();
    client->send(text);
    EXPECT_TRUE(loop.run_until([&] { return client->closed(); }));
    return client->take();
  }
  void run_a_few_turns() {
    for (int i = 0; i < 6; ++i) loop.loop().run_once(false);
  }

  SteppedClock clock;
  test::TestLoop loop{clock};
  test::TempTree tree;
  test::CapturedLog log;
  std::string order, scratch;  // of dear calls
  ServerOptions options{{.path = tree("/agent.sock")}};
  std::unique_ptr<RpcServer> server;
  std::vector<ClientId> open, closed, needed;
  Departure last_departure{};
  std::vector<Token> tokens;
  ClientId last_client = 0;
  rpc::Rights last_rights;
  size_t closed_at_last_call = 0;
  Peer last_peer;
  std::string big;
  int calls = 0;
};

inline std::string error_line(std::string_view id, std::string_view error) {
  return R"({"jsonrpc":"2.0","id":)" + std::string(id) + R"(,"error":)" + std::string(error) +
         "}\n";
}
inline std::string result_line(std::string_view id, std::string_view result) {
  return R"({"jsonrpc":"2.0","id":)" + std::string(id) + R"(,"result":)" + std::string(result) +
         "}\n";
}
inline std::string request(std::string_view method, std::string_view id,
                           std::string_view params = "{}") {
  return R"({"jsonrpc":"2.0","method":")" + std::string(method) + R"(","params":)" +
         std::string(params) + R"(,"id":)" + std::string(id) + "}\n";
}
inline std::string parse_error(std::string_view reason, size_t offset) {
  return error_line("null", R"({"code":-32700,"message":"not JSON that is accepted here: )" +
                                std::string(reason) +
                                R"(","data":{"name":"parse_error","offset":)" +
                                std::to_string(offset) + "}}");
}

}  // namespace nb::ipc
