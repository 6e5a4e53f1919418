// Unit tests of fleet/watch: what it asks a scripted store, and what it makes of the answers. Who
// holds the watch and who is lost is decided by WatchClaim and Watcher, which have tests of their
// own.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fleet/watch.h"
#include "outbox/outbox.h"
#include "support/captured_log.h"
#include "support/fake_store.h"
#include "support/test_loop.h"
#include "wire/watch_script.h"

namespace nb::fleet {
namespace {

using namespace std::chrono_literals;
using test::array_of;
using test::bulk;

// Twenty times as fast as real time, and what a test adds.
class WatchClock final : public Clock {
 public:
  MonoTime now() const override { return MonoTime((real_.now() - start_) * kFaster) + ahead; }
  WallTime wall_now() const override { return real_.wall_now(); }
  Duration real_delay(Duration delay) const override { return delay / kFaster; }
  Duration ahead = 1h;

 private:
  static constexpr int kFaster = 20;
  SystemClock real_;
  MonoTime start_ = real_.now();
};

// The server's side: the watch, the leases, the lists, and a simple form of wire/watch.lua.
struct Server {
  std::optional<std::string> answer(const test::FakeStore::Command& command) {
    if (command[0] == "GETRANGE" && command[1] == "nodebeat:watch") return bulk(watch);
    if (command[0] == "SCRIPT") {
      loaded = true;
      return load_refusal.empty() ? bulk(wire::kWatchScriptSha1) : load_refusal;
    }
    if (command[0] != "EVALSHA") return std::nullopt;
    EXPECT_EQ(command[1], wire::kWatchScriptSha1);
    const size_t keys = std::stoul(command[2]);
    return run(command[3 + keys], {command.begin() + 3, command.begin() + 3 + keys},
               {command.begin() + 4 + keys, command.end()});
  }
  std::string run(const std::string& op, const std::vector<std::string>& keys,
                  const std::vector<std::string>& words) {
    ops.push_back(op);
    if (!loaded) return "-NOSCRIPT No matching script.\r\n";
    if (const auto own = replies.find(op); own != replies.end()) return own->second;
    if (op == "look") {
      std::string out =
          "*" + std::to_string(keys.size()) + "\r\n:" + std::to_string(nodes.size()) + "\r\n";
      for (size_t i = 1; i < keys.size(); ++i) {
        out += bulk(leases[keys[i].substr(keys[i].rfind(':') + 1)]);
      }
      return out;
    }
    if (op == "names") return array_of({nodes.begin(), nodes.end()});
    if (op == "marks") return "*0\r\n";
    if (op == "claim") {
      if (watch == words[0]) watch = words[1];
      return bulk(watch);
    }
    const bool held = watch.starts_with(words[0]);
    if (op == "renew") {
      if (held) watch = words[1];
      return bulk(watch);
    }
    if (!held) return bulk("moved");
    if (op == "leave") {
      watch.clear();
      return ":1\r\n";
    }
    said.push_back(op + " " + words[1] + " " + words[2]);
    return bulk("announced");
  }
  long count(const std::string& op) const { return std::count(ops.begin(), ops.end(), op); }

  std::string watch;
  std::set<std::string> nodes;
  std::map<std::string, std::string> leases;
  std::map<std::string, std::string> replies;  // of an op, instead of what it would return
  std::string load_refusal;
  bool loaded = false;
  std::vector<std::string> ops;
  std::vector<std::string> said;  // op, channel, event
};

class WatchTest : public testing::Test {
 protected:
  WatchTest() {
    store_.answer_by([this](const auto& command) { return server_.answer(command); });
    server_.nodes = {"ook", "eek"};
    server_.leases["eek"] = "boot eek-1 7 250 600000";
    link_.start();
    make(true);
  }
  ~WatchTest() override { service_->stop(); }

  redis::LinkOptions way() {
    redis::LinkOptions options;
    options.greeting.databases = {0};
    options.command_timeout = options.connect_timeout = 10h;
    options.backoff = {1ms, 5ms, 5ms};
    return options;
  }
  void make(bool enabled) {
    service_.emplace(loop_.loop(), log_, link_,
                     Delegate<redis::LinkOptions()>::to<&WatchTest::way>(this), 0,
                     WatchService::Self{"ook", "ook-1", enabled}, &test::FakeStore::make);
  }
  // Until then the lease is renewed, as it were: each renewal reads the watch.
  testing::AssertionResult comes(const std::function<bool()>& condition) {
    const bool came = loop_.run_until([&] {
      if (link_.status().state == redis::LinkState::steady) {
        if (!std::exchange(connected_, true)) service_->on_connected();
        service_->read();
      }
      while (store_.pump()) {
      }
      return condition();
    });
    return came ? testing::AssertionSuccess() : testing::AssertionFailure() << log_.text();
  }
  testing::AssertionResult comes_to(WatchRole role) {
    return comes([&] { return service_->figures().role == role; });
  }
  testing::AssertionResult comes_again(const std::string& op, long times = 1) {
    const long before = server_.count(op);
    return comes([&] { return server_.count(op) >= before + times; });
  }
  // Passes that much of the time that the service knows.
  testing::AssertionResult passes(Duration time) {
    const MonoTime end = clock_.now() + time;
    return comes([&] { return clock_.now() >= end; });
  }

  WatchClock clock_;
  test::TestLoop loop_{clock_};
  test::CapturedLog log_;
  test::FakeStore store_;
  Server server_;
  outbox::Outbox outbox_{{"ook", "ook-1", {}, {}}};
  redis::Link link_{loop_.loop(), log_, outbox_, way(), {}, &test::FakeStore::make};
  std::optional<WatchService> service_;
  bool connected_ = false;
};

TEST_F(WatchTest, AWatchThatNobodyHasIsTaken) {
  EXPECT_EQ(service_->figures().role, WatchRole::unknown);
  ASSERT_TRUE(comes_to(WatchRole::watching));
  EXPECT_TRUE(server_.watch.starts_with("ook ook-1 1 ")) << server_.watch;
  ASSERT_TRUE(comes([&] { return service_->figures().nodes == 2; }));
  ASSERT_TRUE(comes_again("look"));
  ASSERT_TRUE(comes_again("renew"));
  EXPECT_EQ(service_->figures().node, "ook");
  EXPECT_EQ(service_->figures().trouble, "");
  EXPECT_GE(server_.count("names"), 1);
  EXPECT_GE(server_.count("marks"), 1);
  EXPECT_EQ(store_.count("SCRIPT LOAD"), 1);
  service_->stop();
  ASSERT_TRUE(comes([&] { return server_.count("leave") == 1; }));
  EXPECT_EQ(server_.watch, "");
}

TEST_F(WatchTest, ANodeThatIsSilentIsAnnouncedAndItsReturnToo) {
  server_.leases["eek"] = "boot eek-1 7 250 1000";
  ASSERT_TRUE(comes([&] { return service_->figures().lost == 1; }));
  const auto of_kind = [&](const std::string& type) {
    return std::count_if(server_.said.begin(), server_.said.end(), [&](const std::string& said) {
      return said.find("node:events:eek {\"type\":\"" + type + "\"") != said.npos;
    });
  };
  EXPECT_EQ(of_kind("node_lost"), 1);
  EXPECT_EQ(log_.count(LogLevel::warning, "node 'eek' is lost"), 1);
  server_.leases["eek"] = "boot eek-2 1 250 600000";
  ASSERT_TRUE(comes([&] { return service_->figures().returned == 1; }));
  EXPECT_EQ(of_kind("node_returned"), 1);
  EXPECT_EQ(log_.count(LogLevel::notice, "node 'eek' has returned"), 1);
}

TEST_F(WatchTest, AnotherOnesWatchIsLeftToIt) {
  uint64_t seq = 0;
  const auto renewed = [&] { return "hog hog-1 3 " + std::to_string(++seq) + " 0 0"; };
  server_.watch = renewed();
  ASSERT_TRUE(comes_to(WatchRole::watched));
  ASSERT_TRUE(comes([&] {
    server_.watch = renewed();
    return seq > 200;
  }));
  EXPECT_EQ(server_.ops, std::vector<std::string>{});
  const WatchFigures figures = service_->figures();
  EXPECT_EQ(figures.node, "hog");
  EXPECT_EQ(figures.term, 3u);
  ASSERT_TRUE(comes_to(WatchRole::watching)) << "it is renewed no longer";
  EXPECT_EQ(service_->figures().term, 4u);
}

TEST_F(WatchTest, AnAgentThatMayNotWatchSaysThatNobodyDoes) {
  make(false);
  ASSERT_TRUE(comes_to(WatchRole::nobody));
  EXPECT_EQ(log_.count(LogLevel::warning, "this agent may not ([watch] enabled = false)"), 1);
  EXPECT_EQ(server_.ops, std::vector<std::string>{});
  server_.watch = "hog hog-1 3 1 0 0";
  ASSERT_TRUE(comes_to(WatchRole::watched));
  EXPECT_EQ(log_.count(LogLevel::notice, "somebody watches the nodes of this cell again"), 1);
}

TEST_F(WatchTest, AWatchThatIsAnothersNowIsGivenUp) {
  ASSERT_TRUE(comes([&] { return service_->figures().nodes == 2; }));
  server_.watch = "hog hog-1 9 1 0 0";
  ASSERT_TRUE(comes([&] { return log_.count(LogLevel::notice, "node 'hog' watches") == 1; }));
  EXPECT_NE(service_->figures().role, WatchRole::watching);
  EXPECT_EQ(service_->figures().nodes, 0u);
  EXPECT_EQ(server_.said, std::vector<std::string>{});
}

TEST_F(WatchTest, AVerdictThatFindsTheWatchMovedChangesNothing) {
  server_.leases["eek"] = "boot eek-1 7 250 1000";
  server_.replies["lost"] = bulk("moved");
  ASSERT_TRUE(comes([&] { return server_.count("lost") == 1; }));
  server_.watch = "hog hog-1 9 1 0 0";
  ASSERT_TRUE(comes([&] { return log_.count(LogLevel::notice, "node 'hog' watches") == 1; }));
  EXPECT_EQ(service_->figures().lost, 0u);
  EXPECT_EQ(server_.count("lost"), 1);
}

TEST_F(WatchTest, AScriptThatTheServerHasLostIsSentAgain) {
  ASSERT_TRUE(comes_to(WatchRole::watching));
  server_.loaded = false;
  ASSERT_TRUE(comes([&] { return server_.loaded; }));
  ASSERT_TRUE(comes_again("renew", 2));
  EXPECT_EQ(service_->figures().role, WatchRole::watching);
  EXPECT_EQ(service_->figures().trouble, "");
}

TEST_F(WatchTest, ARefusalIsSaidOnceAndTriedAgainAfterAMinute) {
  const MonoTime before = clock_.now();
  server_.replies["claim"] = "-NOPERM this user has no permissions to run 'evalsha'\r\n";
  ASSERT_TRUE(comes([&] { return !service_->figures().trouble.empty(); }));
  EXPECT_EQ(service_->figures().trouble,
            "redis refuses the watch: NOPERM this user has no permissions to run 'evalsha'");
  ASSERT_TRUE(passes(5s));
  clock_.ahead += 45s;
  ASSERT_TRUE(comes([&] { return server_.count("claim") > 1; }));
  EXPECT_GE(clock_.now() - before, 1min);
  EXPECT_EQ(log_.count(LogLevel::error, "this agent cannot watch the cell (nodebeatctl redis"), 1);
  server_.replies.clear();
  clock_.ahead += 1min;
  ASSERT_TRUE(comes_to(WatchRole::watching));
  EXPECT_EQ(service_->figures().trouble, "");
}

TEST_F(WatchTest, WhatCannotBeReadIsSaidAndTheRestIsWatched) {
  ASSERT_TRUE(comes([&] { return service_->figures().nodes == 2; }));
  server_.replies["names"] = ":30000\r\n";
  clock_.ahead += 11s;  // the list is read every 10 s
  ASSERT_TRUE(comes([&] { return !service_->figures().trouble.empty(); }));
  EXPECT_EQ(service_->figures().trouble,
            "the list of nodes (nodebeat:nodes) is too long to be read: it has 30000 entries");
  EXPECT_EQ(log_.count(LogLevel::error, "this agent cannot watch all nodes of the cell"), 1);
  ASSERT_TRUE(comes_again("look", 3));
  EXPECT_EQ(service_->figures().nodes, 2u);
  server_.replies.clear();
  clock_.ahead += 11s;
  ASSERT_TRUE(comes([&] { return service_->figures().trouble.empty(); }));
}

TEST_F(WatchTest, ALookOfAnotherFormJudgesNobody) {
  ASSERT_TRUE(comes([&] { return service_->figures().nodes == 2; }));
  server_.replies["look"] = "*1\r\n:2\r\n";
  ASSERT_TRUE(comes_again("look"));
  EXPECT_EQ(service_->figures().trouble, "") << "it may pass by itself";
  clock_.ahead += 11s;
  ASSERT_TRUE(comes([&] { return !service_->figures().trouble.empty(); }));
  EXPECT_EQ(service_->figures().trouble,
            "redis does not give this agent the leases: its answer has another form");
  EXPECT_EQ(service_->figures().lost, 0u);
  server_.replies.clear();
  ASSERT_TRUE(comes([&] { return service_->figures().trouble.empty(); }));
}

TEST_F(WatchTest, AnotherServerGetsTheScriptAndIsReadAnew) {
  ASSERT_TRUE(comes([&] { return service_->figures().nodes == 2; }));
  const long lists = server_.count("names");
  server_.loaded = false;
  service_->on_server_changed();
  ASSERT_TRUE(comes([&] { return server_.count("names") > lists; }));
  EXPECT_TRUE(server_.loaded);
  EXPECT_EQ(service_->figures().role, WatchRole::watching);
}

TEST_F(WatchTest, ManyNodesAreLookedAtInParts) {
  for (int i = 0; i < 1100; ++i) server_.nodes.insert("n" + std::to_string(i));
  ASSERT_TRUE(comes([&] { return service_->figures().nodes == 1102; }));
  const long before = server_.count("look");
  ASSERT_TRUE(comes([&] { return server_.count("look") >= before + 3; }));
  EXPECT_EQ((server_.count("look") - before) % 3, 0) << "500, 500, 102";
}

}  // namespace
}  // namespace nb::fleet
