// MCP over HTTP: what the headers have to say, sessions, streams, clients that go.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <map>
#include <memory>
#include <string>

#include "http/router.h"
#include "http/server.h"
#include "json/guard.h"
#include "mcp_http/endpoint.h"
#include "mcp_http/headers.h"
#include "mcp_http/token.h"
#include "support/fast_clock.h"
#include "support/temp_tree.h"
#include "support/test_loop.h"

namespace nb::mcp_http {
namespace {

using namespace std::chrono_literals;

// --- pure -------------------------------------------------------------------------------------

http::Request with(std::vector<std::pair<std::string_view, std::string_view>> headers) {
  http::Request request;
  request.method = "POST";
  request.headers = std::move(headers);
  return request;
}

TEST(McpHttpHeaders, AcceptNamesRangesAndTypes) {
  EXPECT_TRUE(accepts(with({}), "text/event-stream"));
  EXPECT_TRUE(accepts(with({{"accept", "*/*"}}), "text/event-stream"));
  EXPECT_TRUE(accepts(with({{"Accept", "a/b, Text/* ;q=0.1"}}), "text/event-stream"));
  EXPECT_TRUE(
      accepts(with({{"Accept", "a/b"}, {"Accept", "text/event-stream;x"}}), "text/event-stream"));
  EXPECT_FALSE(accepts(with({{"Accept", ""}}), "text/event-stream"));
  EXPECT_FALSE(accepts(with({{"Accept", "text/event-streams, tex/*,"}}), "text/event-stream"));
  EXPECT_TRUE(has_json(with({{"content-type", "Application/JSON; charset=utf-8"}})));
  EXPECT_FALSE(has_json(with({{"Content-Type", "text/plain"}})));
  EXPECT_FALSE(has_json(with({})));
}

TEST(McpHttpHeaders, ValuesMayBeEncoded) {
  EXPECT_EQ(decoded(" plain \t"), "plain");
  EXPECT_EQ(decoded("=?base64?w7xtbA==?="), "\u00fcml");
  EXPECT_EQ(decoded("=?base64?"
                    "?="),
            "");
  EXPECT_EQ(decoded("=?base64?YWJj?="), "abc");
  EXPECT_EQ(decoded("=?base64?="), "=?base64?=");  // no encoding: it has no end of its own
  for (const char* wrong : {"=?base64?YWJ?=", "=?base64?YW=j?=", "=?base64?YWI*?=",
                            "=?base64?====?=", "=?base64?YWK=?x?=", "=?base64?YWL=?="}) {
    EXPECT_FALSE(decoded(wrong).has_value()) << wrong;
  }
}

class McpHttpFault : public testing::Test {
 protected:
  // The code of the fault, or 0, of a request with these headers.
  int fault(std::vector<std::pair<std::string_view, std::string_view>> headers,
            const std::string& params, const std::string& method = "tools/call") {
    text_ = R"({"jsonrpc":"2.0","id":1,"method":")" + method + R"(","params":)" + params + '}';
    EXPECT_EQ(guard_.check(text_).reason, nullptr);
    mcp::Message message;
    EXPECT_FALSE(mcp::parse_message(guard_.view(), message).has_value());
    const http::Request request = with(std::move(headers));
    era_ = era_of(request, message);
    const auto found = fault_in(request, message, era_);
    words_ = found ? found->words + found->data : "";
    return found ? found->code : 0;
  }

  static constexpr char kParams[] =
      R"({"name":"t","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",)"
      R"("io.modelcontextprotocol/clientCapabilities":{}}})";
  static constexpr std::pair<std::string_view, std::string_view> kVersion{"mcp-protocol-version",
                                                                          "2026-07-28"},
      kMethod{"Mcp-Method", "tools/call"}, kName{"MCP-NAME", " t "};
  json::Guard guard_;
  std::string text_, words_;
  mcp::Era era_{};
};

TEST_F(McpHttpFault, HeadersRepeatTheMessage) {
  EXPECT_EQ(fault({kVersion, kMethod, kName}, kParams), 0) << words_;
  EXPECT_EQ(fault({kVersion, kMethod, {"Mcp-Name", "=?base64?dA==?="}}, kParams), 0) << words_;
  EXPECT_EQ(fault({kMethod, kName}, kParams), mcp::kHeaderMismatch);
  EXPECT_EQ(fault({kVersion, kVersion, kMethod, kName}, kParams), mcp::kHeaderMismatch);
  EXPECT_EQ(fault({kVersion, kName}, kParams), mcp::kHeaderMismatch);
  EXPECT_EQ(fault({kVersion, kMethod, kMethod, kName}, kParams), mcp::kHeaderMismatch);
  EXPECT_EQ(fault({kVersion, {"Mcp-Method", "Tools/call"}, kName}, kParams), mcp::kHeaderMismatch);
  EXPECT_EQ(fault({kVersion, kMethod}, kParams), mcp::kHeaderMismatch);
  EXPECT_EQ(fault({kVersion, kMethod, {"Mcp-Name", "T"}}, kParams), mcp::kHeaderMismatch);
  EXPECT_EQ(fault({kVersion, kMethod, {"Mcp-Name", "=?base64?d?="}}, kParams),
            mcp::kHeaderMismatch);
}

TEST_F(McpHttpFault, TheHeaderDecidesTheEra) {
  EXPECT_EQ(fault({kVersion, kMethod, kName}, R"({"name":"t"})"), mcp::kInvalidParams);
  EXPECT_EQ(era_, mcp::Era::modern);
  EXPECT_EQ(fault({{"MCP-Protocol-Version", "2025-06-18"}}, R"({"name":"t"})"), 0);
  EXPECT_EQ(era_, mcp::Era::older);
  EXPECT_EQ(fault({{"MCP-Protocol-Version", "2025-06-18"}}, kParams), mcp::kHeaderMismatch);
  EXPECT_EQ(fault({}, "{}"), 0);
  EXPECT_EQ(era_, mcp::Era::older);
  EXPECT_EQ(fault({{"MCP-Protocol-Version", "\"2099"}}, "{}"), mcp::kUnsupportedVersion);
  EXPECT_NE(words_.find(R"("requested":"\"2099")"), std::string::npos) << words_;
  EXPECT_EQ(fault({{"MCP-Protocol-Version", "2099"}}, kParams), mcp::kHeaderMismatch);
}

TEST(McpHttpToken, IsOneWordThatNotEverybodyMayReadOrWrite) {
  const test::TempTree tree;
  const auto read = [&](std::string_view text, mode_t mode = 0600) {
    const std::string path = tree("/token");
    tree.write("/token", text);
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    const auto token = read_token(path);
    return token ? *token : "";
  };
  EXPECT_EQ(read("0123456789abcdef\n"), "0123456789abcdef");
  EXPECT_EQ(read("0123456789abcdef", 0640), "0123456789abcdef");
  EXPECT_EQ(read("0123456789abcdef", 0644), "");
  EXPECT_EQ(read("0123456789abcdef", 0602), "");
  EXPECT_EQ(read("0123456789abcde\n"), "");
  EXPECT_EQ(read("0123456789 abcdef\n"), "");
  EXPECT_EQ(read(std::string(513, 'a')), "");
  EXPECT_EQ(read(""), "");
  EXPECT_FALSE(read_token(tree.path() + "/none").ok());
}

TEST(McpHttpToken, IsShownInOneHeader) {
  const std::string_view token = "0123456789abcdef";
  EXPECT_TRUE(shows_token(with({{"authorization", "bearer  0123456789abcdef "}}), token));
  for (const char* wrong :
       {"", "Bearer", "Bearer ", "Bearer 0123456789abcde", "Bearer 0123456789abcdef0",
        "Bearer 0123456789abcdeF", "Basic 0123456789abcdef", "0123456789abcdef",
        "Bearer 0123456789abcdef0123456789abcdef"}) {
    EXPECT_FALSE(shows_token(with({{"Authorization", wrong}}), token)) << wrong;
  }
  EXPECT_FALSE(shows_token(with({}), token));
  const std::pair<std::string_view, std::string_view> right{"Authorization",
                                                            "Bearer 0123456789abcdef"};
  EXPECT_FALSE(shows_token(with({right, right}), token));
}

// --- a client, a server and its endpoint in one loop ------------------------------------------

constexpr mcp::Tool kEcho{.name = "echo", .words = "Answers."};
constexpr mcp::Tool kLater{.name = "later", .words = "Answers when the test wants."};

class Box final : public mcp::Toolbox {
 public:
  struct Pending final : mcp::Work {
    Pending(Box& owner, mcp::Reply to) : box(owner), reply(to) { ++box.pending; }
    ~Pending() override { --box.pending; }
    Box& box;
    mcp::Reply reply;
  };
  struct Watching final : mcp::Work {
    explicit Watching(Box& owner) : box(owner) { ++box.watches; }
    ~Watching() override { --box.watches; }
    Box& box;
  };

  mcp::ServerInfo info() const override { return {"box", "Box", "1", "Try."}; }
  std::vector<const mcp::Tool*> tools() const override { return {&kEcho, &kLater}; }
  mcp::WorkPtr call(const mcp::Tool& tool, mcp::Given, mcp::Reply reply) override {
    if (&tool == &kEcho) {
      reply.tool("{}");
      return nullptr;
    }
    auto work = std::make_unique<Pending>(*this, reply);
    last = work.get();
    return work;
  }
  std::span<const mcp::Resource> resources() const override { return {}; }
  std::span<const mcp::Resource> templates() const override { return {}; }
  mcp::WorkPtr read(std::string_view uri, mcp::Reply reply) override {
    reply.no_such_resource(uri);
    return nullptr;
  }
  mcp::WorkPtr complete(const mcp::Resource&, std::string_view, std::string_view,
                        mcp::Reply reply) override {
    reply.completions({});
    return nullptr;
  }
  mcp::WorkPtr watch(std::string_view, Delegate<void()> on_change) override {
    changed = on_change;
    return std::make_unique<Watching>(*this);
  }

  int pending = 0;
  int watches = 0;
  Pending* last = nullptr;
  Delegate<void()> changed;
};

class Client {
 public:
  explicit Client(http::Server& server) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    fd_ = UniqueFd(ends[0]);
    EXPECT_TRUE(server.adopt(UniqueFd(ends[1])));
  }
  void send(std::string_view text) {
    EXPECT_EQ(::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  void post(const std::string& body, const std::string& headers) {
    send("POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  const std::string& received() {
    char buffer[16384];
    for (ssize_t n; (n = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT)) > 0;) {
      received_.append(buffer, static_cast<size_t>(n));
    }
    return received_;
  }
  bool has(std::string_view part) { return received().find(part) != std::string::npos; }
  void forget() { received_.clear(); }
  void close() { fd_.reset(); }

 private:
  UniqueFd fd_;
  std::string received_;
};

std::string modern(const std::string& method, const std::string& params = {}) {
  return R"({"jsonrpc":"2.0","id":7,"method":")" + method + R"(","params":{)" + params +
         R"("_meta":{"progressToken":1,"io.modelcontextprotocol/protocolVersion":"2026-07-28",)"
         R"("io.modelcontextprotocol/clientCapabilities":{}}}})";
}

std::string headers_of(const std::string& method, const std::string& name = {}) {
  return "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: " + method + "\r\n" +
         (name.empty() ? "" : "Mcp-Name: " + name + "\r\n");
}

class McpHttp : public testing::Test {
 protected:
  static const Clock& clock_of(bool fast) {
    static const SystemClock real;
    static const test::FastClock quick;
    return fast ? static_cast<const Clock&>(quick) : real;
  }
  explicit McpHttp(bool fast = false, Limits limits = {})
      : loop_(clock_of(fast)), endpoint_(loop_, box_, limits) {
    for (const char* method : Endpoint::kMethods) {
      router_.add(method, "/mcp", http::Router::Handler::to<&Endpoint::handle>(&endpoint_));
    }
    EXPECT_TRUE(server_.start());
  }

  std::unique_ptr<Client> connect() { return std::make_unique<Client>(server_); }
  bool comes(Client& client, std::string_view part) {
    return loop_.run_until([&] { return client.has(part); });
  }
  std::string answer(const std::string& body, const std::string& headers) {
    const auto client = connect();
    client->post(body, headers);
    EXPECT_TRUE(comes(*client, "\r\n\r\n")) << body;
    return client->received();
  }
  // Begins a session, and returns the header that names it.
  std::string begin() {
    const std::string text = answer(R"({"jsonrpc":"2.0","id":1,"method":"initialize","params":)"
                                    R"({"protocolVersion":"2025-11-25","capabilities":{}}})",
                                    "");
    const size_t at = text.find("Mcp-Session-Id: ");
    return at == text.npos ? "" : text.substr(at, text.find("\r\n", at) + 2 - at);
  }
  static std::string older(const std::string& method, const std::string& params,
                           const std::string& id = "2") {
    return R"({"jsonrpc":"2.0","id":)" + id + R"(,"method":")" + method + R"(","params":)" +
           params + '}';
  }

  test::TestLoop loop_;
  Box box_;
  Endpoint endpoint_;
  http::Router router_;
  // On a fast clock the server's own deadlines would come too soon.
  http::Server server_{loop_,
                       {.idle = 24h, .request = 24h, .answer = 24h},
                       http::Origins(),
                       http::Router::Handler::to<&http::Router::handle>(&router_)};
};

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(McpHttp, AModernRequestStandsForItself) {
  const std::string text =
      answer(modern("tools/call", R"("name":"echo",)"), headers_of("tools/call", "echo"));
  EXPECT_HAS(text, "HTTP/1.1 200 OK");
  EXPECT_HAS(text, "Content-Type: application/json\r\n");
  EXPECT_HAS(text, R"("structuredContent":{})");
  EXPECT_EQ(text.find("Mcp-Session-Id"), text.npos);
  EXPECT_HAS(answer(modern("ping"), headers_of("ping")), "HTTP/1.1 404");
  EXPECT_HAS(answer(modern("tools/call", R"("name":"x",)"), headers_of("tools/call", "x")),
             "HTTP/1.1 200");
  EXPECT_TRUE(loop_.run_until([&] { return endpoint_.open_ways() == 0; }));
}

TEST_F(McpHttp, ProgressMakesAStreamOfAnAnswer) {
  const auto client = connect();
  client->post(modern("tools/call", R"("name":"later",)"), headers_of("tools/call", "later"));
  ASSERT_TRUE(loop_.run_until([&] { return box_.pending == 1; }));
  box_.last->reply.progress(1, 2, "half");
  ASSERT_TRUE(comes(*client, R"("message":"half"}})"));
  EXPECT_TRUE(client->has("Content-Type: text/event-stream\r\n"));
  EXPECT_TRUE(client->has("X-Accel-Buffering: no\r\n"));
  box_.last->reply.tool("{}");
  ASSERT_TRUE(comes(*client, "0\r\n\r\n"));
  EXPECT_TRUE(client->has("data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\""));
}

TEST_F(McpHttp, AListenLastsUntilItsClientOrTheServerGoes) {
  const auto client = connect();
  client->post(
      modern("subscriptions/listen", R"("notifications":{"resourceSubscriptions":["state://x"]},)"),
      headers_of("subscriptions/listen"));
  ASSERT_TRUE(comes(*client, "notifications/subscriptions/acknowledged"));
  box_.changed();
  ASSERT_TRUE(comes(*client, "notifications/resources/updated"));
  endpoint_.end();
  server_.flush();
  ASSERT_TRUE(comes(*client, "0\r\n\r\n"));
  EXPECT_TRUE(client->has(R"("resultType":"complete")"));
  EXPECT_FALSE(client->has("notifications/cancelled"));
}

TEST_F(McpHttp, WhatIsNoRequestIsSaidByTheStatus) {
  const auto status = [&](const std::string& body, const std::string& headers) {
    return answer(body, headers).substr(9, 3);
  };
  const std::string method = headers_of("tools/list");
  EXPECT_EQ(status("{", method), "400");
  EXPECT_EQ(status("", method), "400");
  EXPECT_EQ(status("[]", method), "400");
  EXPECT_EQ(status(R"([{"jsonrpc":"2.0","id":1,"method":"tools/list"}])", method), "400");
  EXPECT_EQ(status(R"({"jsonrpc":"2.0","id":1,"result":{}})", method), "400");
  EXPECT_EQ(status(R"({"jsonrpc":"2.0","method":"notifications/cancelled"})", method), "202");
  EXPECT_EQ(status(modern("tools/list"), method + "Accept: application/json\r\n"), "406");
  EXPECT_EQ(status(modern("tools/list"), method + "Accept: text/event-stream\r\n"), "406");
  EXPECT_EQ(status(modern("tools/list"), "Mcp-Session-Id: x\r\n" + method), "200");
  EXPECT_EQ(status(older("ping", "{}"), ""), "400");  // no session
  EXPECT_EQ(status(older("ping", "{}"), "Mcp-Session-Id: x\r\n"), "404");
  EXPECT_EQ(status(older("initialize", "{}"), ""), "200");
  EXPECT_TRUE(loop_.run_until([&] { return endpoint_.sessions() == 0; }));
  for (const char* text :
       {"PUT /mcp HTTP/1.1\r\nHost: x\r\n\r\n", "GET /mcp HTTP/1.1\r\nHost: x\r\n\r\n",
        "HEAD /mcp HTTP/1.1\r\nHost: x\r\n\r\n", "DELETE /mcp HTTP/1.1\r\nHost: x\r\n\r\n"}) {
    const auto client = connect();
    client->send(text);
    EXPECT_TRUE(comes(*client, "HTTP/1.1 405")) << text;
  }
  const auto plain = connect();
  plain->send(
      "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_TRUE(comes(*plain, "HTTP/1.1 415"));
}

TEST_F(McpHttp, ASessionHasAStreamForWhatBelongsToNoRequest) {
  const std::string session = begin();
  ASSERT_NE(session, "");
  EXPECT_HAS(answer(older("resources/subscribe", R"({"uri":"state://x"})"), session),
             R"("id":2,"result":{}})");
  box_.changed();  // waits for a stream
  const auto stream = connect();
  stream->send("GET /mcp HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n" + session + "\r\n");
  ASSERT_TRUE(comes(*stream, R"("method":"notifications/resources/updated")"));
  stream->forget();
  endpoint_.tools_changed();
  ASSERT_TRUE(comes(*stream, "notifications/tools/list_changed"));
  // The next stream takes its place.
  const auto next = connect();
  next->send("GET /mcp HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n" + session + "\r\n");
  ASSERT_TRUE(comes(*stream, "0\r\n\r\n"));
  ASSERT_TRUE(comes(*next, ": \n\n"));
  const auto deletes = connect();
  deletes->send("DELETE /mcp HTTP/1.1\r\nHost: x\r\n" + session + "\r\n");
  ASSERT_TRUE(comes(*deletes, "HTTP/1.1 204"));
  EXPECT_TRUE(comes(*next, "0\r\n\r\n"));
  EXPECT_EQ(box_.watches, 0);
  EXPECT_HAS(answer(older("ping", "{}"), session), "HTTP/1.1 404");
}

TEST_F(McpHttp, ARequestOfASessionIsCancelledByAnother) {
  const std::string session = begin();
  const auto client = connect();
  client->post(older("tools/call", R"({"name":"later"})", "\"x\""), session);
  ASSERT_TRUE(loop_.run_until([&] { return box_.pending == 1; }));
  EXPECT_HAS(answer(older("ping", "{}", "\"x\""), session), "HTTP/1.1 400");
  EXPECT_HAS(answer(R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":)"
                    R"({"requestId":"x"}})",
                    session),
             "HTTP/1.1 202");
  EXPECT_EQ(box_.pending, 0);
  ASSERT_TRUE(comes(*client, "0\r\n\r\n"));
  EXPECT_FALSE(client->has("jsonrpc"));
}

TEST_F(McpHttp, WhatWaitsIsAnsweredWhenItsSessionEnds) {
  const std::string session = begin();
  const auto client = connect();
  client->post(older("tools/call", R"({"name":"later"})"), session);
  ASSERT_TRUE(loop_.run_until([&] { return box_.pending == 1; }));
  const auto other = connect();
  other->send("DELETE /mcp HTTP/1.1\r\nHost: x\r\n" + session + "\r\n");
  ASSERT_TRUE(comes(*other, "204 No Content"));
  ASSERT_TRUE(comes(*client, "has ended"));
  EXPECT_HAS(client->received(), "HTTP/1.1 404");
  EXPECT_HAS(client->received(), R"("id":2,"error":{"code":-32600)");
  EXPECT_EQ(box_.pending, 0);
}

TEST_F(McpHttp, WhatWaitsIsAnsweredWhenTheServerEnds) {
  const auto client = connect();
  client->post(
      modern("tools/call", R"("name":"later","arguments":{},)"),
      headers_of("tools/call", "later") + "Accept: application/json, text/event-stream\r\n");
  ASSERT_TRUE(loop_.run_until([&] { return box_.pending == 1; })) << client->received();
  endpoint_.end();
  ASSERT_TRUE(comes(*client, "the server ends"));
  EXPECT_HAS(client->received(), "HTTP/1.1 503");
  EXPECT_HAS(client->received(), R"("id":7,"error":{"code":-32603)");
}

class McpHttpBounds : public McpHttp {
 protected:
  McpHttpBounds() : McpHttp(false, {.sessions = 2, .ways = 2}) {}
};

TEST_F(McpHttpBounds, TheSessionThatWasNotUsedForLongestGoes) {
  const std::string first = begin(), second = begin();
  EXPECT_HAS(answer(older("ping", "{}"), first), "HTTP/1.1 200");
  const std::string third = begin();
  EXPECT_EQ(endpoint_.sessions(), 2U);
  EXPECT_HAS(answer(older("ping", "{}"), second), "HTTP/1.1 404");
  EXPECT_HAS(answer(older("ping", "{}"), first), "HTTP/1.1 200");
  EXPECT_HAS(answer(older("ping", "{}"), third), "HTTP/1.1 200");
}

TEST_F(McpHttpBounds, WhatWaitsIsBounded) {
  const auto one = connect(), two = connect();
  for (Client* client : {one.get(), two.get()}) {
    client->post(modern("tools/call", R"("name":"later",)"), headers_of("tools/call", "later"));
  }
  ASSERT_TRUE(loop_.run_until([&] { return box_.pending == 2; }));
  EXPECT_HAS(answer(modern("tools/list"), headers_of("tools/list")), "HTTP/1.1 503");
  box_.last->reply.tool("{}");
  ASSERT_TRUE(loop_.run_until([&] { return endpoint_.open_ways() == 1; }));
  EXPECT_HAS(answer(modern("tools/list"), headers_of("tools/list")), "HTTP/1.1 200");
}

class McpHttpTime : public McpHttp {
 protected:
  McpHttpTime() : McpHttp(true) {}
};

TEST_F(McpHttpTime, AClientThatHasGoneIsNoticedAndItsWorkEnds) {
  const auto client = connect();
  client->post(modern("tools/call", R"("name":"later",)"), headers_of("tools/call", "later"));
  ASSERT_TRUE(loop_.run_until([&] { return box_.pending == 1; }));
  ASSERT_TRUE(comes(*client, ": \n\n"));  // it takes long, so it is a stream now
  client->close();
  EXPECT_TRUE(loop_.run_until([&] { return box_.pending == 0 && endpoint_.open_ways() == 0; }));
}

TEST_F(McpHttpTime, ASessionThatNobodyUsesEnds) {
  ASSERT_NE(begin(), "");
  EXPECT_TRUE(loop_.run_until([&] { return endpoint_.sessions() == 0; }));
}

}  // namespace
}  // namespace nb::mcp_http
