// Unit tests of probe/ on a real loop: servers on loopback that behave well or badly, processes,
// and the set of all probes; each loop closed clean. The MCP SDKs and systemd itself are in
// test/integration.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

#include "probe_fixture.h"

namespace nb::probe {
namespace {

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
  EXPECT_EQ(probe.report().detail, "no answer within 1 h");
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

// What keeps the agent from looking is not what it looks at.
TEST(Probe, AProbeThatCannotLookCallsNothingDown) {
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
  const rlimit none{0, before.rlim_max};  // whichever descriptors are closed meanwhile
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
