// Unit tests of probe/: MCP servers of both eras, which start slowly, refuse or go.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "probe_fixture.h"

namespace nb::probe {
namespace {

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
  EXPECT_TRUE(probes_.report().detail.ends_with("(it may take 1 h)"));
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

TEST_F(McpProbe, AProbeThatIsRefusedKnowsThatAServerIsThere) {
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

}  // namespace
}  // namespace nb::probe
