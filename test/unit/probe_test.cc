// Unit tests of probe/ on a real loop: servers on loopback that behave well or badly, each loop
// closed clean. The MCP SDKs and systemd itself are in test/integration.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <string>
#include <vector>

#include "probe/dbus_message.h"
#include "probe/probe_set.h"
#include "probe/system_bus.h"
#include "support/captured_log.h"
#include "support/fake_server.h"
#include "support/listener.h"
#include "support/test_loop.h"

namespace nb::probe {
namespace {

using namespace std::chrono_literals;
using test::FakeServer;
using test::Listener;
using test::TestLoop;
using Then = FakeServer::Then;

constexpr auto kForEver = std::chrono::hours(1);

// A ProbeSet whose changes of verdict are recorded.
class Probes {
 public:
  explicit Probes(TestLoop& loop, ProbeSet::Options options = {.version = "0.1"})
      : loop_(loop),
        set_(loop, log_, std::move(options),
             Delegate<void(const wire::ProbeReport&)>::to<&Probes::on_change>(this)) {
    ::signal(SIGPIPE, SIG_IGN);
  }

  ProbeSet& operator*() { return set_; }
  ProbeSet* operator->() { return &set_; }

  // Until so many changes have come.
  bool wait(
      size_t count, const std::function<void()>& pump = [] {}) {
    return loop_.run_until([&] {
      pump();
      return changes_.size() >= count;
    });
  }
  const std::vector<wire::ProbeReport>& changes() const { return changes_; }
  const test::CapturedLog& log() const { return log_; }

  wire::ProbeReport report(size_t index = 0) const {
    std::vector<wire::ProbeReport> all;
    set_.report(all);
    return all.at(index);
  }

 private:
  void on_change(const wire::ProbeReport& report) { changes_.push_back(report); }

  TestLoop& loop_;
  test::CapturedLog log_;
  std::vector<wire::ProbeReport> changes_;
  ProbeSet set_;
};

// Asked once (the next time is an hour away), and one failure is enough.
ProbeSpec once(ProbeType type, int port, Duration timeout = 10s) {
  ProbeSpec spec;
  spec.name = "it";
  spec.type = type;
  spec.interval = kForEver;
  spec.timeout = timeout;
  spec.down_after = 1;
  spec.target = {"127.0.0.1", port, ""};
  return spec;
}

std::string ok(const std::string& body, const char* type = "text/plain") {
  return "HTTP/1.1 200 OK\r\nContent-Type: " + std::string(type) +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// The verdict on a server that answers like this.
wire::ProbeReport probe(const ProbeSpec& spec, FakeServer& server) {
  TestLoop loop;
  Probes probes(loop);
  probes->set({spec});
  EXPECT_TRUE(probes.wait(1, [&] { server.pump(); }));
  return probes.changes().empty() ? wire::ProbeReport{} : probes.changes()[0];
}

wire::ProbeReport probe(ProbeSpec spec, FakeServer::Reply reply) {
  FakeServer server([&](const std::string&) { return reply; });
  spec.target.port = server.port();
  return probe(spec, server);
}

int closed_port() {
  return Listener().port();
}

TEST(Probe, HttpIsUpOnTheExpectedStatusAndText) {
  ProbeSpec spec = once(ProbeType::http, 0);
  spec.expect_text = "ready";
  FakeServer server([](const std::string&) {
    return FakeServer::Reply{FakeServer::trickle(ok("all is ready"))};
  });
  spec.target.port = server.port();
  spec.http_path = "/health?full=1";
  const wire::ProbeReport up = probe(spec, server);
  EXPECT_EQ(up.up, true);
  EXPECT_EQ(up.name, "it");
  EXPECT_EQ(up.type, "http");
  EXPECT_EQ(up.detail, "HTTP 200");
  EXPECT_EQ(up.port, server.port());
  ASSERT_TRUE(up.latency_ms);
  EXPECT_GT(*up.latency_ms, 0);
  ASSERT_EQ(server.requests().size(), 1u);
  EXPECT_EQ(server.requests()[0],
            "GET /health?full=1 HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(server.port()) +
                "\r\nUser-Agent: nodebeat/0.1\r\nAccept-Encoding: identity\r\nConnection: "
                "close\r\nAccept: */*\r\n\r\n");

  const wire::ProbeReport other_text = probe(spec, {{ok("busy")}});
  EXPECT_EQ(other_text.up, false);
  EXPECT_EQ(other_text.latency_ms, std::nullopt);
  EXPECT_EQ(other_text.detail, "HTTP 200, but without the text \"ready\"");

  spec.expect_text.clear();
  EXPECT_EQ(probe(spec, {{"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"}}).detail,
            "HTTP 503, expected 200");
  spec.expect_status = {{200, 299}, {404, 404}};
  EXPECT_EQ(
      probe(spec, {{"HTTP/1.1 302 Away\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"}}).detail,
      "HTTP 302 to /login, expected 200 to 299 or 404");
  EXPECT_EQ(probe(spec, {{"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"}}).up, true);
}

TEST(Probe, HttpDoesNotWaitForTheEndOfAnEventStream) {
  ProbeSpec spec = once(ProbeType::http, 0);
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
  EXPECT_EQ(probe(spec, {{head}, Then::stall}).up, true);
  spec.expect_text = "tick";
  EXPECT_EQ(probe(spec, {{head, "data: ti", "ck\n\n"}, Then::stall}).up, true);
}

// The answer is there, and the agent too late to read it: that is not the server's fault.
TEST(Probe, AnAgentThatWasHeldUpCallsNothingDown) {
  const SystemClock clock;
  FakeServer server([&](const std::string&) {
    // On the loop's thread: nothing turns meanwhile.
    const MonoTime begin = clock.now();
    while (clock.now() - begin < 300ms) {
    }
    return FakeServer::Reply{{ok("")}};
  });
  ProbeSpec spec = once(ProbeType::http, server.port(), 50ms);
  const wire::ProbeReport report = probe(spec, server);
  EXPECT_EQ(report.up, true) << report.detail;
}

class JumpingClock final : public Clock {
 public:
  MonoTime now() const override { return real_.now() + ahead_; }
  WallTime wall_now() const override { return real_.wall_now(); }
  void jump(Duration by) { ahead_ += by; }

 private:
  SystemClock real_;
  Duration ahead_{};
};

// The machine slept while a try was under way, and the next one is due at the same moment.
TEST(Probe, ATryThatIsGivenMoreTimeIsNotBegunAnew) {
  JumpingClock clock;
  TestLoop loop(clock);
  Probes probes(loop);
  const Listener listener;
  ProbeSpec spec = once(ProbeType::http, listener.port(), 100ms);
  spec.interval = spec.timeout;
  probes->set({spec});
  ASSERT_TRUE(loop.run_until([&] { return listener.ready(); }));
  const UniqueFd first = listener.accept();
  clock.jump(kForEver);
  ASSERT_TRUE(loop.run_until([&] { return listener.ready(); }));
  EXPECT_EQ(probes.changes().size(), 1u) << "the second try begins when the first has ended";
}

TEST(Probe, HttpSaysHowAServerMisbehaves) {
  const auto detail = [](FakeServer::Reply reply, Duration timeout = 10s) {
    const wire::ProbeReport report = probe(once(ProbeType::http, 0, timeout), reply);
    EXPECT_EQ(report.up, false);
    return report.detail;
  };
  const std::string lie = "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n17 bytes of text.";
  EXPECT_EQ(detail({{lie}, Then::stall}, 50ms), "only 17 of 200 bytes within 50 ms");
  EXPECT_EQ(detail({{lie}, Then::close}),
            "the server closed the connection after only 17 of 200 bytes");
  EXPECT_EQ(detail({{lie}, Then::reset}),
            "the connection broke after only 17 of 200 bytes: connection reset by peer");
  EXPECT_EQ(detail({{}, Then::close}), "the server closed the connection without an answer");
  EXPECT_EQ(detail({{}, Then::stall}, 50ms), "no answer within 50 ms");
  EXPECT_EQ(detail({{"HTTP/1.1 20"}, Then::stall}, 50ms), "only 11 bytes of the head within 50 ms");
  EXPECT_EQ(detail({{"SSH-2.0-OpenSSH_9.2\r\n"}, Then::stall}),
            "answer is not HTTP: invalid constant string");
  EXPECT_EQ(detail({{"HTTP/1.1 200 OK\r\nX: " + std::string(50000, 'x')}, Then::stall}),
            "the head of the answer is longer than 16 KiB");
  // A byte a turn, for ever: the deadline is over all of it.
  EXPECT_TRUE(
      detail({FakeServer::trickle("HTTP/1.1 200 OK\r\nX: " + std::string(10000, 'x')), Then::stall},
             100ms)
          .ends_with("bytes of the head within 100 ms"));
}

TEST(Probe, TcpAndUnixTakeAConnection) {
  TestLoop loop;
  Probes probes(loop);
  Listener tcp;
  const std::string path = "/tmp/nodebeat-probe-" + std::to_string(::getpid()) + ".sock";
  Listener socket(path);
  ProbeSpec by_path = once(ProbeType::unix_socket, 0);
  by_path.name = "socket";
  by_path.target = {"", 0, path};
  ProbeSpec refused = once(ProbeType::tcp, closed_port());
  refused.name = "refused";
  ProbeSpec missing = by_path;
  missing.name = "missing";
  missing.target.unix_path = path + ".not";
  probes->set({once(ProbeType::tcp, tcp.port()), by_path, refused, missing});
  ASSERT_TRUE(probes.wait(4));
  EXPECT_EQ(probes.report(0).up, true);
  EXPECT_EQ(probes.report(0).detail,
            "127.0.0.1:" + std::to_string(tcp.port()) + " takes connections");
  EXPECT_EQ(probes.report(0).port, tcp.port());
  EXPECT_EQ(probes.report(1).up, true);
  EXPECT_EQ(probes.report(1).type, "unix");
  EXPECT_EQ(probes.report(1).port, std::nullopt);
  EXPECT_EQ(probes.report(2).up, false);
  EXPECT_TRUE(probes.report(2).detail.ends_with("connection refused"));
  EXPECT_EQ(probes.report(3).detail, path + ".not: no such file or directory");
}

// The id of a request, as text.
std::string id_of(const std::string& request) {
  const size_t at = request.find("\"id\":");
  return at == std::string::npos ? "0"
                                 : request.substr(at + 5, request.find_first_of(",}", at) - at - 5);
}

bool asks(const std::string& request, const char* method) {
  return request.find("\"method\":\"" + std::string(method) + "\"") != std::string::npos;
}

std::string result(const std::string& request, const std::string& json) {
  return R"({"jsonrpc":"2.0","id":)" + id_of(request) + R"(,"result":)" + json + "}";
}

constexpr const char* kOldServer =
    R"({"protocolVersion":"2025-11-25","serverInfo":{"name":"old","version":"1"}})";
constexpr const char* kAccepted = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
constexpr const char* kBad = "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n";

// An MCP server of either era, or both, by hand.
FakeServer::Reply mcp_reply(const std::string& request, bool old_era, bool new_era) {
  if (request.starts_with("DELETE")) return {{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
  if (asks(request, "notifications/initialized")) return {{kAccepted}};
  if (asks(request, "server/discover") && new_era) {
    return {{ok(result(request, R"({"supportedVersions":["2026-07-28"]})"), "application/json")}};
  }
  if (asks(request, "ping") && old_era) return {{ok(result(request, "{}"), "application/json")}};
  if (asks(request, "initialize") && old_era) {
    const std::string body =
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\r\n\r\n"
        "event: message\r\ndata: " +
        result(request, kOldServer) + "\r\n\r\n";
    return {FakeServer::trickle("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                "Mcp-Session-Id: s-1\r\n\r\n" +
                                body),
            Then::stall};
  }
  return {{kBad}};
}

// The requests to it, a letter each: server/discover, initialize, (notifications/)initialized,
// ping, and DELETE as "x".
std::string methods(const FakeServer& server) {
  std::string out;
  for (const std::string& request : server.requests()) {
    if (asks(request, "server/discover")) out += 'd';
    if (asks(request, "initialize")) out += 'i';
    if (asks(request, "ping")) out += 'p';
    if (request.starts_with("DELETE")) out += 'x';
  }
  return out;
}

ProbeSpec mcp(int port, McpEra era, Duration interval = 5ms) {
  ProbeSpec spec = once(ProbeType::mcp, port);
  spec.era = era;
  spec.interval = interval;
  spec.http_path = "/mcp";
  return spec;
}

class McpProbe : public testing::Test {
 protected:
  bool until(FakeServer& server, const std::function<bool()>& condition) {
    return loop_.run_until([&] {
      server.pump();
      return condition();
    });
  }

  TestLoop loop_;
  Probes probes_{loop_};
};

TEST_F(McpProbe, KeepsOneSessionAndPingsInIt) {
  FakeServer server([](const std::string& request) { return mcp_reply(request, true, false); });
  probes_->set({mcp(server.port(), McpEra::session_2025)});
  ASSERT_TRUE(until(server, [&] { return methods(server).size() > 20; }));
  EXPECT_EQ(methods(server).substr(0, 20), "i" + std::string(19, 'p'));
  EXPECT_EQ(probes_.report().up, true);
  EXPECT_EQ(probes_.report().detail, "old 1, MCP 2025-11-25");
  EXPECT_EQ(probes_.report().port, server.port());
  EXPECT_EQ(probes_.changes().size(), 1u);
  std::map<std::string, int> ids;
  size_t announced = 0;
  for (const std::string& request : server.requests()) {
    announced += asks(request, "notifications/initialized");
    if (asks(request, "initialize")) continue;
    EXPECT_NE(request.find("\r\nMcp-Session-Id: s-1\r\nMCP-Protocol-Version: 2025-11-25\r\n"),
              std::string::npos);
    if (!asks(request, "ping")) continue;
    EXPECT_EQ(++ids[id_of(request)], 1) << "ids are used once";
  }
  EXPECT_EQ(announced, 1u);
  // It goes, and ends its session.
  bool left = false;
  struct Waiter {
    bool& left;
    void on_left() { left = true; }
  } waiter{left};
  probes_->leave(Delegate<void()>::to<&Waiter::on_left>(&waiter));
  EXPECT_FALSE(left);
  ASSERT_TRUE(until(server, [&] { return left; }));
  EXPECT_EQ(methods(server).back(), 'x');
  EXPECT_TRUE(server.requests().back().starts_with("DELETE /mcp HTTP/1.1\r\n"));
  ASSERT_TRUE(until(server, [&] { return server.connections() == 0; }));
}

TEST_F(McpProbe, LeavesASessionWhoseServerDoesNotAnswer) {
  FakeServer server([](const std::string& request) -> FakeServer::Reply {
    if (request.starts_with("DELETE")) return {{}, Then::stall};
    return mcp_reply(request, true, false);
  });
  probes_->set({mcp(server.port(), McpEra::session_2025, kForEver)});
  ASSERT_TRUE(until(server, [&] { return probes_.changes().size() == 1; }));
  struct Waiter {
    bool left = false;
    void on_left() { left = true; }
  } waiter;
  probes_->leave(Delegate<void()>::to<&Waiter::on_left>(&waiter));
  ASSERT_TRUE(until(server, [&] { return methods(server).ends_with('x'); }));
  EXPECT_FALSE(waiter.left);
  ASSERT_TRUE(until(server, [&] { return waiter.left; })) << "given up";
}

TEST_F(McpProbe, EndsItsSessionWhenItIsTakenAwayOrChanged) {
  FakeServer server([](const std::string& request) { return mcp_reply(request, true, false); });
  ProbeSpec spec = mcp(server.port(), McpEra::session_2025, kForEver);
  probes_->set({spec});
  ASSERT_TRUE(until(server, [&] { return probes_.changes().size() == 1; }));
  probes_->set({spec});
  spec.timeout = 9s;
  probes_->set({spec});
  ASSERT_TRUE(until(server, [&] { return methods(server).size() == 3; }));
  EXPECT_TRUE(methods(server) == "ixi" || methods(server) == "iix") << methods(server);
  ASSERT_TRUE(until(server, [&] { return probes_.changes().size() == 2; }));
  probes_->set({});
  ASSERT_TRUE(until(server, [&] { return methods(server).size() == 4; }));
  EXPECT_EQ(methods(server).back(), 'x');
}

TEST_F(McpProbe, OpensANewSessionWhenItsOwnIsGone) {
  int sessions = 0;
  FakeServer server([&](const std::string& request) -> FakeServer::Reply {
    const std::string id = "s-" + std::to_string(sessions);
    if (asks(request, "initialize")) {
      const std::string body = result(request, kOldServer);
      return {{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: s-" +
               std::to_string(++sessions) + "\r\nContent-Length: " + std::to_string(body.size()) +
               "\r\n\r\n" + body}};
    }
    if (request.find("Mcp-Session-Id: " + id + "\r\n") == std::string::npos) {
      return {{"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"}};
    }
    return mcp_reply(request, true, false);
  });
  probes_->set({mcp(server.port(), McpEra::session_2025)});
  ASSERT_TRUE(until(server, [&] { return methods(server).ends_with("pppp"); }));
  sessions = 7;  // restarted: it has forgotten them all
  const size_t before = server.requests().size();
  ASSERT_TRUE(until(server, [&] { return sessions == 8 && methods(server).ends_with("pppp"); }));
  EXPECT_GT(server.requests().size(), before);
  EXPECT_EQ(probes_.changes().size(), 1u) << "nobody has seen it down";
  EXPECT_EQ(sessions, 8) << "one new session";
}

TEST_F(McpProbe, AServerThatRefusesPingsIsAskedAnewEachTime) {
  FakeServer server([](const std::string& request) -> FakeServer::Reply {
    if (asks(request, "ping")) return {{kBad}};
    return mcp_reply(request, true, false);
  });
  probes_->set({mcp(server.port(), McpEra::session_2025)});
  ASSERT_TRUE(until(server, [&] { return methods(server).size() > 30; }));
  const std::string asked = methods(server);
  EXPECT_EQ(std::count(asked.begin(), asked.end(), 'p'), 2) << asked;
  EXPECT_GE(std::count(asked.begin(), asked.end(), 'x') + 2,
            std::count(asked.begin(), asked.end(), 'i'))
      << "each session is ended: " << asked;
  EXPECT_EQ(probes_.changes().size(), 1u);
  EXPECT_EQ(probes_.report().up, true);
}

class SlowStarter : public McpProbe, public testing::WithParamInterface<McpEra> {};

INSTANTIATE_TEST_SUITE_P(Eras, SlowStarter,
                         testing::Values(McpEra::session_2025, McpEra::stateless_2026),
                         [](const auto& era) {
                           return era.param == McpEra::session_2025 ? "of2025" : "of2026";
                         });

TEST_P(SlowStarter, IsNotDown) {
  Listener listener;
  ProbeSpec spec = mcp(listener.port(), GetParam(), 10ms);
  spec.timeout = 10ms;
  spec.down_after = 1;
  spec.start_timeout = kForEver;
  probes_->set({spec});
  ASSERT_TRUE(loop_.run_until([&] { return listener.ready(); }));
  const UniqueFd connection = listener.accept();
  // Many tries go by, and none of them asks again.
  const MonoTime since = loop_.loop().now();
  ASSERT_TRUE(loop_.run_until([&] { return loop_.loop().now() - since > 200ms; }));
  EXPECT_FALSE(listener.ready()) << "one question";
  EXPECT_EQ(probes_.report().up, std::nullopt);
  EXPECT_TRUE(probes_.report().detail.starts_with("starting: no answer for "))
      << probes_.report().detail;
  EXPECT_TRUE(probes_.report().detail.ends_with("(it may take 60 min)"));
  EXPECT_TRUE(probes_.changes().empty());
  char request[4096];
  const ssize_t n = ::recv(connection.get(), request, sizeof request, MSG_DONTWAIT);
  ASSERT_GT(n, 0);
  const bool old = GetParam() == McpEra::session_2025;
  const std::string answer =
      ok(result(std::string(request, static_cast<size_t>(n)),
                old ? kOldServer : R"({"supportedVersions":["2026-07-28"]})"),
         "application/json");
  ASSERT_EQ(::send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(answer.size()));
  ASSERT_TRUE(probes_.wait(1));
  EXPECT_EQ(probes_.changes()[0].up, true);
  EXPECT_EQ(probes_.changes()[0].detail,
            old ? "old 1, MCP 2025-11-25" : "unnamed server, MCP 2026-07-28");
}

TEST_F(McpProbe, AServerThatHasHadItsTimeToStartIsDown) {
  FakeServer server([](const std::string& request) -> FakeServer::Reply {
    if (request.starts_with("DELETE")) return {{}, Then::stall};
    return {{"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nMcp-Session-Id: s-2\r\n\r\n"},
            Then::stall};
  });
  ProbeSpec spec = mcp(server.port(), McpEra::session_2025, 20ms);
  spec.timeout = 20ms;
  spec.start_timeout = 100ms;
  spec.down_after = 3;
  probes_->set({spec});
  ASSERT_TRUE(until(server, [&] { return probes_.changes().size() == 1; }));
  EXPECT_EQ(probes_.changes()[0].up, false);
  EXPECT_TRUE(probes_.changes()[0].detail.starts_with("only 0 bytes of a body without end for "))
      << probes_.changes()[0].detail;
  // The session that it had half opened is ended, once it is given up; the next question has as
  // much time as the first, but what it is is known now.
  const std::string asked = methods(server);
  EXPECT_TRUE(asked.starts_with("ix")) << asked;
  EXPECT_LE(std::count(asked.begin(), asked.end(), 'i'), 2) << asked;
  EXPECT_NE(server.requests()[1].find("Mcp-Session-Id: s-2\r\n\r\n"), std::string::npos);
  EXPECT_EQ(probes_.log().count(LogLevel::warning, "is unknown: starting: "), 1)
      << probes_.log().text();
}

TEST_F(McpProbe, ASessionInWhichNothingIsAnsweredIsOpenedAnew) {
  bool stuck = false;
  FakeServer server([&](const std::string& request) -> FakeServer::Reply {
    if (asks(request, "ping") && stuck) return {{}, Then::stall};
    if (asks(request, "initialize")) stuck = false;
    return mcp_reply(request, true, false);
  });
  ProbeSpec spec = mcp(server.port(), McpEra::session_2025, 20ms);
  spec.timeout = 20ms;
  spec.down_after = 1;
  spec.start_timeout = 100ms;
  probes_->set({spec});
  ASSERT_TRUE(until(server, [&] { return methods(server).ends_with("ipp"); }));
  stuck = true;
  ASSERT_TRUE(until(server, [&] { return probes_.changes().size() == 2; }));
  EXPECT_EQ(probes_.changes()[1].detail, "no answer within 20 ms");
  ASSERT_TRUE(until(server, [&] { return probes_.changes().size() == 3; }));
  EXPECT_EQ(probes_.changes()[2].up, true);
  const std::string asked = methods(server);
  EXPECT_EQ(std::count(asked.begin(), asked.end(), 'i'), 2) << asked;
  EXPECT_EQ(std::count(asked.begin(), asked.end(), 'x'), 1) << asked;
}

TEST_F(McpProbe, OfTwoErasTheMoreTellingReasonStays) {
  FakeServer server([](const std::string& request) -> FakeServer::Reply {
    if (!asks(request, "server/discover"))
      return {{"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"}};
    const std::string body =
        R"({"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no licence"}})";
    return {{"HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\nContent-Length: " +
             std::to_string(body.size()) + "\r\n\r\n" + body}};
  });
  ProbeSpec spec = mcp(server.port(), McpEra::automatic);
  probes_->set({spec});
  ASSERT_TRUE(until(server, [&] { return probes_.changes().size() == 1; }));
  size_t seen = 0;
  ASSERT_TRUE(until(server, [&] {
    EXPECT_EQ(probes_.report().detail, "HTTP 400: MCP error -32000: no licence");
    return methods(server).size() > 10 && ++seen > 10;
  }));
  EXPECT_NE(methods(server).find("did"), std::string::npos) << "both are asked, in turns";
}

TEST_F(McpProbe, WhoIsRefusedKnowsThatSomebodyIsThere) {
  FakeServer server([](const std::string&) -> FakeServer::Reply {
    return {{"HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n"}};
  });
  ProbeSpec spec = mcp(server.port(), McpEra::automatic);
  spec.http_host = "tools.example:8080";
  probes_->set({spec});
  ASSERT_TRUE(until(server, [&] { return methods(server).size() > 5; }));
  EXPECT_EQ(probes_.report().up, true);
  EXPECT_EQ(probes_.report().detail, "HTTP 401, so it is alive: Bearer");
  EXPECT_EQ(methods(server).substr(0, 5), "ddddd");
  EXPECT_NE(server.requests()[0].find("\r\nHost: tools.example:8080\r\n"), std::string::npos);
}

TEST(Probe, McpFindsTheEraAndFollowsAServerThatChangesIt) {
  TestLoop loop;
  Probes probes(loop);
  bool old_era = true;
  bool new_era = false;
  FakeServer server(
      [&](const std::string& request) { return mcp_reply(request, old_era, new_era); });
  ProbeSpec spec = once(ProbeType::mcp, server.port());
  spec.interval = 5ms;
  spec.timeout = 10s;
  probes->set({spec});
  const auto pump = [&] { server.pump(); };
  const auto asked = [&](size_t count) {
    return loop.run_until([&] {
      server.pump();
      return methods(server).size() >= count;
    });
  };
  ASSERT_TRUE(probes.wait(1, pump));
  EXPECT_EQ(methods(server), "di");
  ASSERT_TRUE(asked(5));
  EXPECT_EQ(methods(server).substr(0, 5), "dippp");  // what worked is kept

  // Restarted in the other era: found within one try, so nobody sees it down.
  old_era = false;
  new_era = true;
  ASSERT_TRUE(loop.run_until([&] {
    server.pump();
    return probes.report().detail == "unnamed server, MCP 2026-07-28";
  }));
  EXPECT_EQ(probes.changes().size(), 1u);

  // Neither era: down, and asked once a try from then on, in turns.
  new_era = false;
  ASSERT_TRUE(probes.wait(2, pump));
  EXPECT_EQ(probes.report().up, false);
  EXPECT_EQ(probes.report().detail, "HTTP 400, expected 200");
  const size_t down_at = methods(server).size();
  ASSERT_TRUE(asked(down_at + 4));
  const std::string turns = methods(server).substr(down_at, 4);
  EXPECT_TRUE(turns == "idid" || turns == "didi") << turns;

  old_era = true;
  ASSERT_TRUE(probes.wait(3, pump));
  EXPECT_EQ(probes.report().detail, "old 1, MCP 2025-11-25");
}

TEST(Probe, McpFindsTheEraOfAServerThatDoesNotAnswerTheOther) {
  const std::string error = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
  for (const FakeServer::Reply& other :
       {FakeServer::Reply{{}, Then::stall}, FakeServer::Reply{}, FakeServer::Reply{{error}}}) {
    TestLoop loop;
    Probes probes(loop);
    FakeServer server([&](const std::string& request) {
      return asks(request, "server/discover") ? other : mcp_reply(request, true, false);
    });
    ProbeSpec spec = once(ProbeType::mcp, server.port(), 500ms);
    spec.interval = 5ms;
    spec.down_after = 100;
    probes->set({spec});
    ASSERT_TRUE(probes.wait(1, [&] { server.pump(); }));
    EXPECT_EQ(probes.report().detail, "old 1, MCP 2025-11-25");
  }
}

TEST(Probe, FollowsThresholdsAndTellsEachChangeOnce) {
  TestLoop loop;
  Probes probes(loop);
  bool well = false;
  FakeServer server([&](const std::string&) -> FakeServer::Reply {
    return {{well ? ok("") : "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"}};
  });
  ProbeSpec spec = once(ProbeType::http, server.port());
  spec.interval = 2ms;
  spec.up_after = 3;
  spec.down_after = 4;
  probes->set({spec});
  const auto pump = [&] { server.pump(); };
  ASSERT_TRUE(probes.wait(1, pump));
  EXPECT_EQ(probes.changes()[0].up, false);
  EXPECT_EQ(server.requests().size(), 4u);
  well = true;
  ASSERT_TRUE(probes.wait(2, pump));
  EXPECT_EQ(probes.changes()[1].up, true);
  // No further change, however often it is asked.
  const size_t before = server.requests().size();
  ASSERT_TRUE(loop.run_until([&] {
    pump();
    return server.requests().size() > before + 10;
  }));
  EXPECT_EQ(probes.changes().size(), 2u);
}

TEST(Probe, OneFailureDoesNotShowInAReportThatSaysUp) {
  TestLoop loop;
  Probes probes(loop);
  int asked = 0;
  FakeServer server([&](const std::string&) -> FakeServer::Reply {
    return {{++asked % 2 == 1 ? ok("") : "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"}};
  });
  ProbeSpec spec = once(ProbeType::http, server.port());
  spec.interval = 2ms;
  spec.down_after = 2;
  probes->set({spec});
  ASSERT_TRUE(loop.run_until([&] {
    server.pump();
    const wire::ProbeReport report = probes.report();
    EXPECT_EQ(report.detail, report.up ? "HTTP 200" : "");
    return asked > 10;
  }));
  EXPECT_EQ(probes.changes().size(), 1u);
}

TEST(ProbeSet, HangingProbesDelayNobody) {
  TestLoop loop;
  Probes probes(loop);
  FakeServer hanging([](const std::string&) { return FakeServer::Reply{{}, Then::stall}; });
  FakeServer healthy([](const std::string&) { return FakeServer::Reply{{ok("")}}; });
  std::vector<ProbeSpec> specs;
  for (int i = 0; i < 200; ++i) {
    ProbeSpec spec = once(ProbeType::http, i % 2 == 0 ? hanging.port() : healthy.port(), kForEver);
    spec.name = std::to_string(i);
    specs.push_back(spec);
  }
  probes->set(specs);
  ASSERT_TRUE(probes.wait(100, [&] {
    hanging.pump();
    healthy.pump();
  }));
  for (const wire::ProbeReport& report : probes.changes()) {
    EXPECT_EQ(report.up, true) << report.detail;
    EXPECT_EQ(std::stoi(report.name) % 2, 1) << report.name;
  }
  EXPECT_EQ(healthy.requests().size(), 100u);
}

TEST(ProbeSet, KeepsWhatIsUnchangedAndDropsTheRest) {
  TestLoop loop;
  Probes probes(loop);
  FakeServer server([](const std::string&) { return FakeServer::Reply{{ok("")}}; });
  FakeServer hanging([](const std::string&) { return FakeServer::Reply{{}, Then::stall}; });
  ProbeSpec kept = once(ProbeType::http, server.port());
  kept.name = "kept";
  ProbeSpec changed = kept;
  changed.name = "changed";
  ProbeSpec dropped = once(ProbeType::http, hanging.port());
  dropped.name = "dropped";
  probes->set({dropped, kept, changed});
  const auto pump = [&] {
    server.pump();
    hanging.pump();
  };
  ASSERT_TRUE(probes.wait(2, pump));
  ASSERT_TRUE(loop.run_until([&] {
    pump();
    return hanging.requests().size() == 1;
  }));
  changed.timeout = 9s;
  probes->set({changed, kept});
  std::vector<wire::ProbeReport> reports(5);
  probes->report(reports);
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_EQ(reports[0].name, "changed");
  EXPECT_EQ(reports[0].up, std::nullopt);
  EXPECT_EQ(reports[1].up, true);
  // The changed one is asked again; the kept one is not; the dropped one has hung up.
  ASSERT_TRUE(probes.wait(3, pump));
  ASSERT_TRUE(loop.run_until([&] {
    pump();
    return hanging.connections() == 0;
  }));
  EXPECT_EQ(server.requests().size(), 3u);
  probes->set({});
  probes->report(reports);
  EXPECT_TRUE(reports.empty());
}

// A loop's clock whose time since boot is chosen, so that the grid is known.
class ShiftedClock final : public Clock {
 public:
  explicit ShiftedClock(Duration start) : start_(start) {}
  MonoTime now() const override { return MonoTime(start_ + (real_.now() - real_start_)); }
  WallTime wall_now() const override { return real_.wall_now(); }

 private:
  Duration start_;
  SystemClock real_;
  MonoTime real_start_ = real_.now();
};

TEST(ProbeSet, AsksAtOnceAndThenOnAGrid) {
  const ShiftedClock clock(Duration(10s) - 30ms);
  TestLoop loop(clock);
  Probes probes(loop);
  std::map<std::string, std::vector<MonoTime>> times;
  FakeServer server([&](const std::string& request) {
    times[request.substr(0, 6)].push_back(clock.now());
    return FakeServer::Reply{{ok("")}};
  });
  ProbeSpec a = once(ProbeType::http, server.port());
  a.name = "a";
  a.http_path = "/a";
  a.interval = 1s;
  ProbeSpec b = a;
  b.name = "b";
  b.http_path = "/b";
  probes->set({a});
  const auto pump = [&] { server.pump(); };
  ASSERT_TRUE(probes.wait(1, pump));
  probes->set({a, b});  // later, but on the same grid from its second try on
  ASSERT_TRUE(probes.wait(2, pump));
  ASSERT_TRUE(loop.run_until([&] {
    pump();
    return times["GET /a"].size() == 2 && times["GET /b"].size() == 2;
  }));
  EXPECT_LT(times["GET /a"][0].time_since_epoch(), 10s);
  EXPECT_GE(times["GET /a"][1].time_since_epoch(), 10s);
  EXPECT_GE(times["GET /b"][1].time_since_epoch(), 10s);
}

TEST(Probe, ATryAsLongAsTheIntervalEndsForTheNext) {
  JumpingClock clock;
  TestLoop loop(clock);
  SystemBus bus(loop, "");
  SideRequests side_requests(loop);
  const CheckContext context{loop, bus, side_requests, "/proc", "0.1"};
  FakeServer hanging([](const std::string&) { return FakeServer::Reply{{}, Then::stall}; });
  Probe probe(context, once(ProbeType::http, hanging.port(), kForEver), {});
  const auto asked = [&](size_t times) {
    return loop.run_until([&] {
      hanging.pump();
      return hanging.requests().size() == times;
    });
  };
  probe.start_try();
  ASSERT_TRUE(asked(1));
  clock.jump(30min);
  probe.start_try();
  EXPECT_EQ(probe.report().up, std::nullopt) << "the first has its time";
  clock.jump(29min);
  probe.start_try();
  EXPECT_EQ(probe.report().up, false);
  EXPECT_EQ(probe.report().detail, "no answer within 60 min");
  EXPECT_TRUE(asked(2));
}

TEST(Probe, ProcessIsFoundByCommandAndMissedWhenGone) {
  TestLoop loop;
  Probes probes(loop);
  const std::string mark = "nodebeat-probe-" + std::to_string(::getpid()) + "-marked";
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl("/bin/sleep", mark.c_str(), "600", nullptr);
    ::_exit(1);
  }
  ProbeSpec spec = once(ProbeType::process, 0);
  spec.target = {};
  spec.interval = 2ms;
  spec.command = mark;
  ProbeSpec by_file = spec;
  by_file.name = "by_file";
  by_file.command.clear();
  by_file.pidfile = "/tmp/" + mark;
  std::FILE* file = std::fopen(by_file.pidfile.c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fprintf(file, "%d\n", child);
  std::fclose(file);
  probes->set({spec, by_file});
  ASSERT_TRUE(
      loop.run_until([&] { return probes.report(0).up == true && probes.report(1).up == true; }));
  EXPECT_EQ(probes.report(0).detail, "process " + std::to_string(child));
  EXPECT_EQ(probes.report(0).port, std::nullopt);
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ASSERT_TRUE(
      loop.run_until([&] { return probes.report(0).up == false && probes.report(1).up == false; }));
  EXPECT_EQ(probes.report(0).detail, "no process has \"" + mark + "\" in its command line");
  // A look between the kill and the wait has seen the zombie; the next sees nothing.
  const std::string gone = "the process of " + by_file.pidfile + " is gone";
  EXPECT_TRUE(loop.run_until([&] { return probes.report(1).detail == gone; }))
      << probes.report(1).detail;
  ::unlink(by_file.pidfile.c_str());
}

TEST(Probe, AProcessThatBecomesAnotherProgramIsMissed) {
  TestLoop loop;
  Probes probes(loop);
  const std::string mark = "nodebeat-probe-" + std::to_string(::getpid()) + "-exec";
  int go[2];
  ASSERT_EQ(::pipe(go), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(go[0], STDIN_FILENO);
    ::execl("/bin/sh", mark.c_str(), "-c", "read go; exec sleep 600", nullptr);
    ::_exit(1);
  }
  ProbeSpec spec = once(ProbeType::process, 0);
  spec.target = {};
  spec.interval = 2ms;
  spec.command = mark;
  probes->set({spec});
  EXPECT_TRUE(loop.run_until([&] { return probes.report().up == true; }));
  EXPECT_EQ(::write(go[1], "\n", 1), 1);
  EXPECT_TRUE(loop.run_until([&] { return probes.report().up == false; }));
  ::kill(child, SIGKILL);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  ::close(go[0]);
  ::close(go[1]);
}

// A system bus that is scripted by the test: `say` is what it answers to what it hears.
class FakeBus {
 public:
  explicit FakeBus(const std::string& path) : listener_(path) {}

  void pump() {
    if (listener_.ready()) {
      fd_ = listener_.accept();
      ++connections;
      heard.clear();
    }
    char buffer[4096];
    ssize_t n;
    while (fd_ && (n = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
      heard.append(buffer, static_cast<size_t>(n));
    }
  }
  void say(const std::string& text) { ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL); }
  void hang_up() { fd_.reset(); }

  std::string heard;
  int connections = 0;

 private:
  Listener listener_;
  UniqueFd fd_;
};

// A method return with a variant string.
std::string bus_reply(uint8_t serial, const std::string& text) {
  std::string out("l\x02\x01\x01", 4);
  const auto u32 = [&](size_t value) {
    out += std::string{static_cast<char>(value), '\0', '\0', '\0'};
  };
  u32(8 + text.size() + 1);
  u32(1);
  u32(15);
  out += std::string("\x05\x01u\0", 4);
  u32(serial);
  out += std::string("\x08\x01g\0\x01v\0\0", 8);
  out += std::string("\x01s\0\0", 4);
  u32(text.size());
  return out + text + '\0';
}

class Systemd : public testing::Test {
 protected:
  std::string path_ = "/tmp/nodebeat-probe-bus-" + std::to_string(::getpid());
  TestLoop loop_;
  Probes probes_{loop_, {.version = "0.1", .proc_root = "/proc", .system_bus = path_}};

  static ProbeSpec unit(const std::string& name, Duration timeout = 10s) {
    ProbeSpec spec = once(ProbeType::systemd, 0, timeout);
    spec.target = {};
    spec.name = name;
    spec.unit = name;
    return spec;
  }
};

TEST_F(Systemd, AsksOverOneConnectionAndReadsSplitReplies) {
  FakeBus bus(path_);
  probes_->set({unit("one"), unit("two.socket"), unit("three")});
  ASSERT_TRUE(loop_.run_until([&] {
    bus.pump();
    return bus.heard.find("three_2eservice") != std::string::npos;
  }));
  EXPECT_TRUE(bus.heard.starts_with(std::string(1, '\0') + "AUTH EXTERNAL "));
  EXPECT_NE(bus.heard.find("two_2esocket"), std::string::npos);
  // Serial 1 was Hello; the answers come in another order than the questions.
  std::string replies = "OK 0123\r\n" + bus_reply(1, ":1.7") + bus_reply(4, "inactive") +
                        bus_reply(2, "active") + bus_reply(3, "failed");
  size_t said = 0;
  ASSERT_TRUE(loop_.run_until([&] {
    bus.pump();
    if (said < replies.size()) bus.say(replies.substr(said++, 1));
    return probes_.changes().size() == 2 && said == replies.size();
  }));
  ASSERT_TRUE(loop_.run_until([&] {
    bus.pump();
    return bus.heard.find("LoadState") != std::string::npos;
  }));
  bus.say(bus_reply(5, "not-found"));
  ASSERT_TRUE(probes_.wait(3));
  EXPECT_EQ(probes_.report(0).up, true);
  EXPECT_EQ(probes_.report(0).detail, "one.service is active");
  EXPECT_EQ(probes_.report(1).detail, "two.socket is failed");
  EXPECT_EQ(probes_.report(2).detail, "there is no unit three.service");
  EXPECT_EQ(bus.connections, 1);
}

TEST_F(Systemd, SaysWhatIsWrongWithTheBus) {
  const auto detail = [&](const std::function<void(FakeBus&)>& act) {
    FakeBus bus(path_);
    probes_->set({});
    probes_->set({unit("one")});
    const size_t before = probes_.changes().size();
    bool acted = false;
    EXPECT_TRUE(loop_.run_until([&] {
      bus.pump();
      if (!acted && bus.heard.find("one_2eservice") != std::string::npos) {
        acted = true;
        act(bus);
      }
      return !probes_.report().detail.empty();
    }));
    EXPECT_EQ(probes_.changes().size(), before) << "no bus says nothing of a unit";
    EXPECT_EQ(probes_.report().up, std::nullopt);
    return probes_.report().detail;
  };
  EXPECT_EQ(detail([](FakeBus& bus) { bus.say("REJECTED EXTERNAL\r\n"); }),
            "system bus: refused the agent: REJECTED EXTERNAL");
  EXPECT_EQ(detail([](FakeBus& bus) { bus.hang_up(); }), "system bus: closed the connection");
  EXPECT_EQ(detail([](FakeBus& bus) { bus.say("OK 1\r\nHTTP/1.1 400 Bad Request\r\n"); }),
            "system bus: answer is not D-Bus");
  EXPECT_EQ(detail([](FakeBus& bus) { bus.say(std::string(5000, 'x')); }),
            "system bus: answer is not D-Bus");
  probes_->set({});
  probes_->set({unit("one")});
  ASSERT_TRUE(loop_.run_until([&] { return !probes_.report().detail.empty(); }));
  EXPECT_EQ(probes_.report().up, std::nullopt);
  EXPECT_EQ(probes_.report().detail, "system bus: " + path_ + ": no such file or directory");
}

TEST_F(Systemd, ASilentBusCostsAProbeItsDeadlineAndIsDialledAgainForTheOthers) {
  FakeBus bus(path_);
  probes_->set({unit("hasty", 50ms), unit("patient")});
  ASSERT_TRUE(loop_.run_until([&] {
    bus.pump();
    return probes_.report(0).detail == "no answer from systemd within 50 ms";
  }));
  EXPECT_EQ(probes_.report(0).up, std::nullopt);
  ASSERT_TRUE(loop_.run_until([&] {
    bus.pump();
    return bus.connections == 2 && bus.heard.find("patient_2eservice") != std::string::npos;
  }));
  bus.say("OK 1\r\n" + bus_reply(1, ":1.1") + bus_reply(2, "active"));
  ASSERT_TRUE(probes_.wait(1));
  EXPECT_EQ(probes_.report(1).up, true);
}

TEST_F(Systemd, ABusThatGoesChangesNothingThatWasKnown) {
  ProbeSpec spec = unit("one");
  spec.interval = 5ms;
  std::optional<FakeBus> bus(std::in_place, path_);
  probes_->set({spec});
  ASSERT_TRUE(loop_.run_until([&] {
    bus->pump();
    return bus->heard.find("one_2eservice") != std::string::npos;
  }));
  bus->say("OK 1\r\n" + bus_reply(1, ":1.1") + bus_reply(2, "active"));
  ASSERT_TRUE(probes_.wait(1, [&] { bus->pump(); }));
  EXPECT_EQ(probes_.report().up, true);
  bus.reset();
  ASSERT_TRUE(loop_.run_until([&] { return probes_.report().up == std::nullopt; }));
  EXPECT_EQ(probes_.report().last_known, true);
  EXPECT_TRUE(probes_.report().detail.starts_with("system bus: ")) << probes_.report().detail;
  EXPECT_EQ(probes_.log().count(LogLevel::warning, "probe one (systemd) is unknown: system bus"),
            1);
  // Back again, and as it was: no news, but a line in the log.
  bus.emplace(path_);
  ASSERT_TRUE(loop_.run_until([&] {
    bus->pump();
    return bus->heard.find("one_2eservice") != std::string::npos;
  }));
  bus->say("OK 1\r\n" + bus_reply(1, ":1.1") + bus_reply(2, "active"));
  ASSERT_TRUE(loop_.run_until([&] { return bus->pump(), probes_.report().up == true; }));
  EXPECT_EQ(probes_.report().detail, "one.service is active");
  EXPECT_EQ(probes_.changes().size(), 1u);
  EXPECT_EQ(probes_.log().count(LogLevel::warning), 1) << probes_.log().text();
  EXPECT_EQ(probes_.log().count(LogLevel::info, "is still up"), 1) << probes_.log().text();
}

// What keeps the agent from looking is not what it looks at.
TEST(Probe, WhoeverCannotLookCallsNothingDown) {
  TestLoop loop;
  Probes probes(loop);
  ProbeSpec link = once(ProbeType::process, 0);
  link.target = {};
  link.name = "link";
  link.pidfile = "/proc/self/exe";
  ProbeSpec page = once(ProbeType::http, closed_port());
  page.name = "page";
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = ::dup(0);
  ::close(next);
  const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
  probes->set({page});
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const bool told = loop.run_until([&] { return !probes.report().detail.empty(); });
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(told);
  EXPECT_EQ(probes.report().up, std::nullopt);
  EXPECT_TRUE(probes.report().detail.ends_with("too many open files")) << probes.report().detail;
  probes->set({link});
  ASSERT_TRUE(loop.run_until([&] { return !probes.report().detail.empty(); }));
  EXPECT_EQ(probes.report().up, std::nullopt);
  EXPECT_TRUE(probes.changes().empty());
}

}  // namespace
}  // namespace nb::probe
