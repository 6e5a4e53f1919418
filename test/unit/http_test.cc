// The HTTP server: who is answered, what bounds a client, answers that come later, streams.
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "http/listen.h"
#include "http/origin.h"
#include "http/router.h"
#include "http/server.h"
#include "support/fast_clock.h"
#include "support/test_loop.h"

namespace nb::http {
namespace {

using namespace std::chrono_literals;

// --- pure -------------------------------------------------------------------------------------

TEST(HttpOrigins, AreNamesOfThisComputer) {
  const Origins origins({"gate.local"});
  for (const char* host : {"localhost", "LocalHost:80", "127.0.0.1:9809", "127.0.0.1", "[::1]",
                           "[::1]:9809", "gate.local", "Gate.Local:1"}) {
    EXPECT_TRUE(origins.is_our_host(host)) << host;
  }
  for (const char* host : {"",
                           "evil.example",
                           "localhost.evil.example",
                           "localhost.",
                           "127.0.0.1.evil.example",
                           "127.0.0.2",
                           "evil.example:localhost",
                           "localhost:",
                           "localhost:80a",
                           "localhost:123456",
                           "localhost:80:80",
                           "[::1",
                           "::1",
                           "[::1]x",
                           "[localhost",
                           "user@localhost",
                           "localhost, evil.example",
                           " localhost",
                           "localhost/",
                           "0x7f.1",
                           "2130706433"}) {
    EXPECT_FALSE(origins.is_our_host(host)) << host;
  }
  EXPECT_TRUE(origins.is_our_origin("http://localhost:9809"));
  EXPECT_TRUE(origins.is_our_origin("https://gate.local"));
  for (const char* origin : {"", "null", "http://", "http://evil.example", "file://localhost",
                             "http://localhost/", "localhost", "http://localhost@evil.example"}) {
    EXPECT_FALSE(origins.is_our_origin(origin)) << origin;
  }
}

TEST(HttpOrigins, ANulInAHeaderIsRefused) {
  using namespace std::string_view_literals;
  const auto status = [](std::string_view name, std::string_view value) {
    Request request;
    request.headers = {{"Host", "localhost"}, {name, value}};
    return check(request, Origins(), true).status;
  };
  EXPECT_EQ(status("X", "a"), 0);
  EXPECT_EQ(status("X", "a\0b"sv), 400);
  EXPECT_EQ(status("Origin", "http://localhost\0.evil.example"sv), 400);
  EXPECT_EQ(status("X\0"sv, "a"), 400);
}

TEST(HttpAddress, IsANumberOrLocalhost) {
  const auto host_of = [](const char* text) {
    const auto address = parse_address(text);
    return address ? address->host + " " + std::to_string(address->port) : "-";
  };
  EXPECT_EQ(host_of("127.0.0.1:9809"), "127.0.0.1 9809");
  EXPECT_EQ(host_of("localhost:0"), "127.0.0.1 0");
  EXPECT_EQ(host_of("[::1]:80"), "::1 80");
  EXPECT_EQ(host_of("0.0.0.0:80"), "0.0.0.0 80");
  for (const char* text : {"", "9809", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:80",
                           "[127.0.0.1]:80", "gate.local:80", ":80", "[::1:80"}) {
    EXPECT_EQ(host_of(text), "-") << text;
  }
  EXPECT_TRUE(parse_address("127.8.8.8:1")->is_loopback());
  EXPECT_TRUE(parse_address("[::1]:1")->is_loopback());
  EXPECT_FALSE(parse_address("0.0.0.0:1")->is_loopback());
  EXPECT_FALSE(parse_address("[::]:1")->is_loopback());
  EXPECT_FALSE(parse_address("10.0.0.2:1")->is_loopback());
}

TEST(HttpRequest, FindsWordsOfTheQuery) {
  Request request;
  request.query = "a=1&verbose&verboser=1&=x";
  EXPECT_TRUE(request.asks_for("verbose"));
  EXPECT_TRUE(request.asks_for("a"));
  EXPECT_FALSE(request.asks_for("1"));
  EXPECT_FALSE(request.asks_for("verb"));
  EXPECT_EQ(request.in_query("a"), "1");
  EXPECT_EQ(request.in_query("verbose"), "");
  EXPECT_FALSE(request.in_query("b"));
}

// --- a client and the server in one loop ------------------------------------------------------

class Client {
 public:
  explicit Client(int port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }

  void send(std::string_view text) {
    (void)::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  void get(const std::string& path) {
    send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }
  const std::string& received() {
    char buffer[16384];
    ssize_t n;
    while ((n = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
      received_.append(buffer, static_cast<size_t>(n));
    }
    closed_ |= n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
    return received_;
  }
  bool has(std::string_view part) { return received().find(part) != std::string::npos; }
  bool closed() {
    received();
    return closed_;
  }
  void forget() { received_.clear(); }
  void close() { fd_.reset(); }
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
  std::string received_;
  bool closed_ = false;
};

class HttpServer : public testing::Test {
 protected:
  static const Clock& clock_of(bool fast) {
    static const SystemClock real;
    static const test::FastClock quick;
    return fast ? static_cast<const Clock&>(quick) : real;
  }
  explicit HttpServer(bool fast = false) : loop_(clock_of(fast)) {}

  void SetUp() override {
    router_.add("GET", "/hello",
                Delegate<void(const Request&, Reply&&)>::to<&HttpServer::hello>(this));
    router_.add("POST", "/echo",
                Delegate<void(const Request&, Reply&&)>::to<&HttpServer::echo>(this));
    router_.add("GET", "/later",
                Delegate<void(const Request&, Reply&&)>::to<&HttpServer::later>(this));
    router_.add("GET", "/never",
                Delegate<void(const Request&, Reply&&)>::to<&HttpServer::never>(this));
    router_.add("GET", "/stream",
                Delegate<void(const Request&, Reply&&)>::to<&HttpServer::stream>(this));
  }

  void serve(const Limits& limits = {}) {
    server_ = std::make_unique<Server>(
        loop_, limits, Origins(),
        Delegate<void(const Request&, Reply&&)>::to<&Router::handle>(&router_));
    auto fd = listen_on(*parse_address("127.0.0.1:0"));
    ASSERT_TRUE(fd) << fd.error().message;
    const std::string url = url_of(fd->get());
    ASSERT_TRUE(server_->start(std::move(*fd)));
    port_ = std::atoi(url.substr(url.rfind(':') + 1).c_str());
  }
  std::unique_ptr<Client> connect() { return std::make_unique<Client>(port_); }
  bool comes(Client& client, std::string_view part) {
    return loop_.run_until([&] { return client.has(part); });
  }
  bool ends(Client& client) {
    return loop_.run_until([&] { return client.closed(); });
  }
  // The first answer to a request as it stands.
  std::string answer(std::string_view request) {
    const auto client = connect();
    client->send(request);
    EXPECT_TRUE(loop_.run_until([&] { return client->has("\r\n\r\n") || client->closed(); }));
    return client->received();
  }

  void hello(const Request&, Reply&& reply) { reply.send({.body = "hello\n"}); }
  void echo(const Request& request, Reply&& reply) {
    reply.send({.body = std::string(request.body)});
  }
  void later(const Request&, Reply&& reply) { waiting_.push_back(std::move(reply)); }
  void never(const Request&, Reply&&) {}
  void stream(const Request&, Reply&& reply) {
    streams_.push_back(reply.open({.body = "begin\n", .type = "text/event-stream"}));
  }

  test::TestLoop loop_;
  Router router_;
  std::vector<Reply> waiting_;
  std::vector<EventStream> streams_;
  std::unique_ptr<Server> server_;
  int port_ = 0;
};

TEST_F(HttpServer, AnswersSeveralRequestsOfOneConnection) {
  serve();
  const auto client = connect();
  for (int i = 0; i < 3; ++i) {
    client->get("/hello");
    ASSERT_TRUE(comes(*client, "hello\n"));
    EXPECT_TRUE(client->has("HTTP/1.1 200 OK"));
    EXPECT_TRUE(client->has("Cache-Control: no-store\r\n"));
    EXPECT_TRUE(client->has("X-Content-Type-Options: nosniff\r\n"));
    EXPECT_TRUE(client->has("Content-Security-Policy: default-src 'none'"));
    client->forget();
  }
  EXPECT_EQ(server_->figures().requests, 3U);
}

TEST_F(HttpServer, ReadsARequestThatComesByteByByte) {
  serve();
  const auto client = connect();
  const std::string request =
      "POST /echo?x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody";
  for (const char c : request) {
    client->send(std::string_view(&c, 1));
    loop_.loop().run_once(false);
  }
  EXPECT_TRUE(comes(*client, "\r\n\r\nbody"));
}

TEST_F(HttpServer, AllBodiesTogetherAreBounded) {
  serve({.body_bytes = 100, .bodies_bytes = 150});
  const std::string head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n";
  const auto slow = connect(), beyond = connect();
  slow->send(head + std::string(99, 'a'));
  ASSERT_TRUE(loop_.run_until([&] { return server_->held_body_bytes() == 99; }));
  beyond->send(head + std::string(100, 'b'));
  EXPECT_TRUE(comes(*beyond, " 503 "));
  EXPECT_TRUE(ends(*beyond));
  slow->send("!");
  EXPECT_TRUE(comes(*slow, "a!"));
  EXPECT_TRUE(loop_.run_until([&] { return server_->held_body_bytes() == 0; }));
  const auto next = connect();
  next->send(head + std::string(100, 'c'));
  EXPECT_TRUE(comes(*next, "\r\n\r\nccc"));
}

TEST_F(HttpServer, TellsTheSizeToAHead) {
  serve();
  const std::string head = answer("HEAD /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_NE(head.find("200 OK"), head.npos);
  EXPECT_NE(head.find("Content-Length: 6"), head.npos);
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
}

TEST_F(HttpServer, SaysWhichPathsAndMethodsThereAre) {
  serve();
  const auto lost = connect();
  lost->get("/hello/../etc/passwd");
  EXPECT_TRUE(comes(*lost, "There are: /echo /hello /later /never /stream\n"));
  EXPECT_TRUE(lost->has("404 Not Found"));
  for (const char* path :
       {"/%68ello", "/hello%00", "//hello", "/hello/", "/HELLO", "/..%2fhello"}) {
    lost->forget();
    lost->get(path);
    EXPECT_TRUE(comes(*lost, "404 Not Found")) << path;
    EXPECT_TRUE(comes(*lost, "/stream\n")) << path;
  }
  const std::string wrong = answer("DELETE /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_NE(wrong.find("405 Method Not Allowed"), wrong.npos);
  EXPECT_NE(wrong.find("Allow: GET, HEAD"), wrong.npos);
}

TEST_F(HttpServer, RefusesAnotherHostAndAnotherOrigin) {
  serve();
  const auto status = [&](const std::string& headers) {
    const std::string text = answer("GET /hello HTTP/1.1\r\n" + headers + "\r\n");
    return text.size() > 12 ? text.substr(9, 3) : text;
  };
  EXPECT_EQ(status("Host: 127.0.0.1:1\r\n"), "200");
  EXPECT_EQ(status("Host: evil.example\r\n"), "403");
  EXPECT_EQ(status(""), "400");
  EXPECT_EQ(status("Host: localhost\r\nHost: evil.example\r\n"), "400");
  EXPECT_EQ(status("Host: localhost\r\nOrigin: http://localhost:3000\r\n"), "200");
  EXPECT_EQ(status("Host: localhost\r\nOrigin: http://evil.example\r\n"), "403");
  EXPECT_EQ(status("Host: localhost\r\nOrigin: null\r\n"), "403");
  EXPECT_EQ(status("Host: localhost\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
            "400");
  EXPECT_EQ(server_->figures().requests, 2U);
}

TEST_F(HttpServer, RefusesALargeBodyBeforeItIsSent) {
  serve({.body_bytes = 100});
  const std::string refused =
      answer("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 104857600\r\n\r\n");
  EXPECT_NE(refused.find(" 413 "), refused.npos) << refused;
  EXPECT_NE(refused.find("Connection: close"), refused.npos) << refused;
  const auto chunked = connect();
  chunked->send("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 4; ++i) chunked->send("20\r\n" + std::string(32, 'x') + "\r\n");
  EXPECT_TRUE(loop_.run_until([&] { return server_->held_body_bytes() == 0; }));
  chunked->send("0\r\n\r\n");
  EXPECT_TRUE(comes(*chunked, "at most 100 bytes"));
  EXPECT_TRUE(chunked->has(" 413 ") && chunked->has("Connection: close"));
  EXPECT_TRUE(ends(*chunked));
  EXPECT_EQ(server_->figures().requests, 0U);
  EXPECT_EQ(server_->figures().refused, 2U);
}

TEST_F(HttpServer, EndsABodyThatDoesNotEnd) {
  serve({.body_bytes = 100});
  const auto client = connect();
  client->send("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "4000\r\n" + std::string(0x4000, 'x') + "\r\n";
  EXPECT_TRUE(loop_.run_until([&] {
    client->send(chunk);
    return client->closed();
  }));
  EXPECT_EQ(server_->figures().requests, 0U);
}

// What libmicrohttpd has no memory for.
TEST_F(HttpServer, AnswersATargetThatIsTooLong) {
  serve();
  const auto get = [](const std::string& query) {
    return "GET /hello?" + query + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
  };
  const auto repeated = [](const char* word, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) all += word;
    return all;
  };
  EXPECT_EQ(answer(get(repeated("a&", 100) + std::string(7000, 'a'))).substr(9, 3), "200");
  for (const std::string& query :
       {repeated("a&", 200), repeated("a&", 500), repeated("&", 4000), std::string(9000, 'a'),
        repeated("a&", 100) + std::string(30000, 'a')}) {
    const auto client = connect();
    client->send(get(query));
    EXPECT_TRUE(ends(*client)) << query.size();
    EXPECT_EQ(client->received().substr(0, 12), "HTTP/1.1 414") << query.size();
  }
  EXPECT_EQ(server_->figures().requests, 1U);
}

TEST_F(HttpServer, EndsAFloodOfHeaders) {
  serve();
  const auto client = connect();
  client->send("GET /hello HTTP/1.1\r\nHost: localhost\r\n");
  for (int i = 0; i < 5000; ++i) client->send("X-" + std::to_string(i) + ": flood\r\n");
  EXPECT_TRUE(loop_.run_until([&] { return client->closed() || client->has(" 431 "); }));
  EXPECT_EQ(server_->figures().requests, 0U);
  const auto other = connect();
  other->get("/hello");
  EXPECT_TRUE(comes(*other, "hello\n"));
}

TEST_F(HttpServer, AnswersWhenTheHandlerCan) {
  serve();
  const auto client = connect();
  client->get("/later");
  ASSERT_TRUE(loop_.run_until([&] { return waiting_.size() == 1; }));
  EXPECT_TRUE(waiting_[0].is_wanted());
  const auto other = connect();
  other->get("/hello");
  EXPECT_TRUE(comes(*other, "hello\n"));
  EXPECT_EQ(client->received(), "");
  waiting_[0].send({.status = 503, .body = "away\n"});
  EXPECT_TRUE(comes(*client, "away\n"));
  EXPECT_TRUE(client->has("503 Service Unavailable"));
  client->get("/hello");
  EXPECT_TRUE(comes(*client, "hello\n"));
}

TEST_F(HttpServer, AHandlerWithoutAnAnswerIsAFault) {
  serve();
  const auto client = connect();
  client->get("/never");
  EXPECT_TRUE(comes(*client, "500 Internal Server Error"));
}

TEST_F(HttpServer, AReplyOutlivesTheServer) {
  serve();
  const auto client = connect();
  client->get("/later");
  client->get("/stream");
  const auto other = connect();
  other->get("/stream");
  ASSERT_TRUE(loop_.run_until([&] { return waiting_.size() == 1 && streams_.size() == 1; }));
  server_.reset();
  EXPECT_FALSE(waiting_[0].is_wanted());
  EXPECT_FALSE(streams_[0].write("x"));
  waiting_[0].send({.body = "late"});
  EXPECT_TRUE(client->closed());
  EXPECT_TRUE(other->closed());
}

TEST_F(HttpServer, StreamsWhatIsWritten) {
  serve();
  const auto client = connect();
  client->get("/stream");
  ASSERT_TRUE(comes(*client, "begin\n"));
  EXPECT_TRUE(client->has("Content-Type: text/event-stream"));
  EXPECT_TRUE(streams_[0].write("one\n"));
  EXPECT_TRUE(streams_[0].write("two\n"));
  EXPECT_TRUE(comes(*client, "one\ntwo\n"));
  EXPECT_TRUE(streams_[0].write("three\n"));
  EXPECT_TRUE(comes(*client, "three\n"));
  streams_.clear();
  EXPECT_TRUE(comes(*client, "\r\n0\r\n"));
}

TEST_F(HttpServer, NoticesThatAStreamsClientHasGone) {
  serve();
  const auto client = connect();
  client->get("/stream");
  ASSERT_TRUE(comes(*client, "begin\n"));
  client->close();
  EXPECT_TRUE(loop_.run_until([&] { return !streams_[0].write("still there?\n"); }));
  EXPECT_TRUE(loop_.run_until([&] { return server_->figures().connections == 0; }));
}

TEST_F(HttpServer, CutsOffAStreamThatNobodyReads) {
  serve({.unread_bytes = 64 * 1024});
  const auto slow = connect();
  const auto quick = connect();
  for (Client* each : {slow.get(), quick.get()}) {
    each->get("/stream");
    const size_t before = streams_.size();
    ASSERT_TRUE(loop_.run_until([&] { return streams_.size() > before; }));
  }
  const std::string line(4000, 'x');
  const auto pour = [&] {
    quick->received();
    quick->forget();
    EXPECT_TRUE(streams_[1].write(line));
    return !streams_[0].write(line);
  };
  EXPECT_TRUE(loop_.run_until(pour));
  EXPECT_EQ(server_->figures().cut_off, 1U);
  EXPECT_TRUE(ends(*slow));
  EXPECT_TRUE(streams_[1].is_open());
}

TEST_F(HttpServer, ClosesWhoHasWaitedLongestForOthers) {
  serve({.connections = 8});
  std::vector<std::unique_ptr<Client>> idle;
  for (int i = 0; i < 60; ++i) {
    idle.push_back(connect());
    loop_.loop().run_once(false);
  }
  const auto client = connect();
  client->get("/hello");
  EXPECT_TRUE(comes(*client, "hello\n"));
  EXPECT_TRUE(loop_.run_until([&] { return server_->figures().connections <= 8; }));
  EXPECT_TRUE(idle[0]->closed());
  EXPECT_GE(server_->figures().displaced, 50U);
}

TEST_F(HttpServer, KeepsWhoHasARequestWhenItIsFull) {
  serve({.connections = 3});
  std::vector<std::unique_ptr<Client>> asking;
  for (int i = 0; i < 3; ++i) {
    asking.push_back(connect());
    asking.back()->get("/later");
  }
  ASSERT_TRUE(loop_.run_until([&] { return waiting_.size() == 3; }));
  const auto late = connect();
  EXPECT_TRUE(ends(*late));
  for (Reply& reply : waiting_) reply.send({.body = "done\n"});
  for (const auto& each : asking) EXPECT_TRUE(comes(*each, "done\n"));
}

class HttpServerInAHurry : public HttpServer {
 protected:
  HttpServerInAHurry() : HttpServer(true) {}
};

TEST_F(HttpServerInAHurry, EndsWhoDoesNotFinishARequest) {
  serve();
  const auto silent = connect();
  const auto slow = connect();
  const auto body = connect();
  slow->send("GET /hello HTTP/1.1\r\nHost: local");
  body->send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nbo");
  for (Client* each : {silent.get(), slow.get(), body.get()}) EXPECT_TRUE(ends(*each));
  EXPECT_EQ(server_->figures().timeouts, 3U);
  EXPECT_EQ(server_->figures().requests, 0U);
}

TEST_F(HttpServerInAHurry, AStreamAndAHandlerMayTakeTheirTime) {
  serve();
  const auto client = connect();
  client->get("/stream");
  ASSERT_TRUE(comes(*client, "begin\n"));
  const auto silent = connect();
  ASSERT_TRUE(ends(*silent));  // a minute on this clock
  EXPECT_TRUE(streams_[0].write("still\n"));
  EXPECT_TRUE(comes(*client, "still\n"));
}

}  // namespace
}  // namespace nb::http
