// What the unit tests of probe/ share: a set of probes whose changes are recorded, and the verdict
// on a server that answers as it is told.
#pragma once

#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "probe/probe_set.h"
#include "support/captured_log.h"
#include "support/fake_server.h"
#include "support/listener.h"
#include "support/test_loop.h"

namespace nb::probe {

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
inline ProbeSpec once(ProbeType type, int port, Duration timeout = 10s) {
  ProbeSpec spec;
  spec.name = "it";
  spec.type = type;
  spec.interval = kForEver;
  spec.timeout = timeout;
  spec.down_after = 1;
  spec.target = {"127.0.0.1", port, ""};
  return spec;
}

inline std::string ok(const std::string& body, const char* type = "text/plain") {
  return "HTTP/1.1 200 OK\r\nContent-Type: " + std::string(type) +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// The verdict on a server that answers like this.
inline wire::ProbeReport probe(const ProbeSpec& spec, FakeServer& server) {
  TestLoop loop;
  Probes probes(loop);
  probes->set({spec});
  EXPECT_TRUE(probes.wait(1, [&] { server.pump(); }));
  return probes.changes().empty() ? wire::ProbeReport{} : probes.changes()[0];
}

inline wire::ProbeReport probe(ProbeSpec spec, FakeServer::Reply reply) {
  FakeServer server([&](const std::string&) { return reply; });
  spec.target.port = server.port();
  return probe(spec, server);
}

inline int closed_port() {
  return Listener().port();
}

}  // namespace nb::probe
