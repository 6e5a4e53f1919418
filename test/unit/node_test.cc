// Unit tests of node/: identity, the beat, the note of a run, and the list of nodes, with a
// scripted store and without a socket.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "config/load.h"
#include "json/view.h"
#include "node/heartbeat.h"
#include "node/identity.h"
#include "node/lease.h"
#include "node/node_register.h"
#include "node/run_note.h"
#include "redis/reader.h"
#include "support/captured_log.h"
#include "support/fake_store.h"
#include "support/stepped_clock.h"
#include "support/temp_tree.h"
#include "support/test_loop.h"

namespace nb::node {
namespace {

using namespace std::chrono_literals;
using test::array_of;
using test::bulk;
using test::FakeStore;

TEST(Identity, DiffersBetweenAgentsOfOneMoment) {
  Random random(1);
  const WallTime start{1'795'183'387s};
  const Identity a = make_identity("hog", "2a1e1dbb-4fbb", start, random);
  const Identity b = make_identity("hog", "2a1e1dbb-4fbb", start, random);
  EXPECT_EQ(a.node, "hog");
  EXPECT_EQ(a.instance_id.rfind("hog-2a1e1dbb-", 0), 0u) << a.instance_id;
  EXPECT_NE(a.instance_id, b.instance_id);
  EXPECT_EQ(make_identity("hog", "", start, random).instance_id.rfind("hog-noboot-", 0), 0u);
}

// --- the note of a run ---------------------------------------------------------------------------

class RunNoteTest : public testing::Test {
 protected:
  test::TempTree tree_;
  const std::string path_ = tree_("/a.sock");
  const Identity me_{"hog", "boot", "hog-1"};
};

TEST_F(RunNoteTest, ACleanEndLeavesNothing) {
  {
    RunNote note(path_);
    note.look("boot");
    EXPECT_FALSE(note.last_run());
    ASSERT_TRUE(note.begin(me_, WallTime(1000s)).ok());
    note.end();
  }
  RunNote next(path_);
  next.look("boot");
  EXPECT_FALSE(next.last_run());
  EXPECT_EQ(next.hold(), Duration::zero());
}

TEST_F(RunNoteTest, WhatARunLeftIsTold) {
  {
    RunNote note(path_);
    note.look("boot");
    ASSERT_TRUE(note.begin(me_, WallTime(1000s)).ok());
    note.beat();
  }
  RunNote next(path_);
  next.look("boot");
  ASSERT_TRUE(next.last_run());
  EXPECT_EQ(next.last_run()->instance_id, "hog-1");
}

TEST_F(RunNoteTest, ALivingAgentsNoteIsNotTakenForADeadOnes) {
  RunNote living(path_);
  living.look("boot");
  ASSERT_TRUE(living.begin(me_, WallTime(1000s)).ok());
  RunNote other(path_);
  other.look("boot");
  EXPECT_FALSE(other.last_run());
}

TEST_F(RunNoteTest, WithoutAPathNothingIsNoted) {
  RunNote note("");
  note.look("boot");
  EXPECT_TRUE(note.begin(me_, WallTime(1000s)).ok());
  EXPECT_FALSE(note.last_run());
}

// --- the beat ------------------------------------------------------------------------------------

class HeartbeatTest : public testing::Test {
 protected:
  HeartbeatTest()
      : config_(config::default_config("hog")),
        outbox_({"hog", "hog-1", {}, {}}),
        heartbeat_(
            loop_.loop(), log_, outbox_, me_, config_,
            {Delegate<std::optional<Duration>()>::to<&HeartbeatTest::ping>(this),
             Delegate<void()>::to<&HeartbeatTest::on_put>(this),
             Delegate<void(std::string_view, std::string_view)>::to<&HeartbeatTest::on_event>(
                 this)}) {}
  ~HeartbeatTest() override { heartbeat_.say_goodbye("test", {}); }

  std::optional<Duration> ping() { return ping_; }
  void on_put() { ++puts_; }
  void on_event(std::string_view channel, std::string_view payload) {
    EXPECT_EQ(channel, "node:events:hog");
    events_.emplace_back(payload);
  }
  bool beats(uint64_t count) {
    return loop_.run_until([&] { return heartbeat_.beats() >= count; });
  }
  json::View health() { return json::View::of(heartbeat_.json()); }

  test::TestLoop loop_;
  test::CapturedLog log_;
  config::Config config_;
  const Identity me_{"hog", "boot", "hog-1"};
  outbox::Outbox outbox_;
  std::optional<Duration> ping_;
  int puts_ = 0;
  std::vector<std::string> events_;
  Heartbeat heartbeat_;
};

TEST_F(HeartbeatTest, TheFirstBeatSaysThatTheNodeIsUp) {
  ping_ = 250us;
  heartbeat_.start(std::nullopt);
  ASSERT_TRUE(beats(1));
  EXPECT_EQ(puts_, 1);
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_NE(events_[0].find("node_up"), std::string::npos) << events_[0];
  EXPECT_EQ(health()["is_reachable"].boolean(), true);
  EXPECT_EQ(health()["ping_latency_ms"].raw(), "0.25");
  EXPECT_FALSE(health()["last_run"].exists());
  const outbox::Slot* slot = outbox_.slots().find(0, "node:health:hog");
  ASSERT_NE(slot, nullptr);
  EXPECT_TRUE(slot->dirty());
}

TEST_F(HeartbeatTest, AnUnknownRoundTripIsNull) {
  heartbeat_.start(std::nullopt);
  ASSERT_TRUE(beats(1));
  EXPECT_EQ(health()["ping_latency_ms"].type(), json::View::Type::null);
}

TEST_F(HeartbeatTest, ARunThatDidNotEndCleanlyIsToldOnce) {
  wire::LastRun last;
  last.instance_id = "hog-0";
  config_.heartbeat.interval = 100ms;
  heartbeat_.reconfigure(config_);
  heartbeat_.start(last, {"panic", "dmesg-1"});
  ASSERT_TRUE(beats(1));
  EXPECT_TRUE(health()["last_run"].exists());
  EXPECT_EQ(health()["boot_reason"].raw(), "\"panic\"");
  EXPECT_NE(events_.at(0).find("hog-0"), std::string::npos);
  EXPECT_NE(events_.at(0).find(R"("boot_reason":"panic","boot_detail":"dmesg-1")"),
            std::string::npos);
  ASSERT_TRUE(beats(2));
  EXPECT_FALSE(health()["boot_reason"].exists());
  EXPECT_FALSE(health()["last_run"].exists());
  EXPECT_EQ(events_.size(), 1u);
}

TEST_F(HeartbeatTest, AfterAGoodbyeTheNodeIsNotReachable) {
  heartbeat_.start(std::nullopt);
  ASSERT_TRUE(beats(1));
  heartbeat_.say_goodbye("stopped", {});
  EXPECT_EQ(health()["is_reachable"].boolean(), false);
  ASSERT_EQ(events_.size(), 2u);
  EXPECT_NE(events_[1].find("node_down"), std::string::npos) << events_[1];
}

// --- the lease -----------------------------------------------------------------------------------

class LeaseTest : public testing::Test {
 protected:
  LeaseTest()
      : config_(config::default_config("hog")),
        outbox_({"hog", "hog-1", {}, {}}),
        lease_(loop_.loop(), log_, outbox_, me_, config_,
               Delegate<void()>::to<&LeaseTest::on_renewed>(this)) {
    outbox_.set_on_settled(
        Delegate<void(const outbox::Settled&)>::to<&LeaseTest::on_settled>(this));
    outbox_.connection_opened();
  }
  ~LeaseTest() override { lease_.finish(); }

  void on_renewed() { ++renewed_; }
  void on_settled(const outbox::Settled& settled) { EXPECT_TRUE(lease_.on_settled(settled)); }
  std::string text() {
    const outbox::Slot* slot = outbox_.slots().find(0, "nodebeat:lease:hog");
    return slot != nullptr ? std::string(slot->fields[0].value) : "";
  }
  // What Redis says to what waits; empty: it stores it. Nothing waits: false.
  bool answer(std::string_view refusal = {}) {
    outbox::Unit unit;
    const MonoTime now = loop_.loop().now();
    if (!outbox_.next(unit, now, {})) return false;
    outbox_.settled(unit, now, -1, {refusal, {}, {}});
    return true;
  }
  bool renewed(int times) {
    return loop_.run_until([&] { return renewed_ >= times; });
  }

  test::SteppedClock clock_;
  test::TestLoop loop_{clock_};
  test::CapturedLog log_;
  config::Config config_;
  const Identity me_{"hog", "boot", "hog-1"};
  outbox::Outbox outbox_;
  int renewed_ = 0;
  LeaseRenewal lease_;
};

TEST_F(LeaseTest, EachRenewalHasAHigherSequence) {
  lease_.start();
  EXPECT_EQ(text(), "boot hog-1 1 1000 3000");
  lease_.reconfigure({250ms, 1s});
  EXPECT_EQ(text(), "boot hog-1 2 250 1000");
  ASSERT_TRUE(renewed(3));
  EXPECT_EQ(text(), "boot hog-1 3 250 1000");
}

TEST_F(LeaseTest, TheLastOneSaysThatNobodyIsToWait) {
  lease_.start();
  lease_.finish();
  EXPECT_EQ(text(), "boot hog-1 2 1000 0");
  EXPECT_TRUE(answer());
}

TEST_F(LeaseTest, ARefusalIsSaidOnceAndTriedAgainLater) {
  lease_.start();
  ASSERT_TRUE(answer("NOPERM not you"));
  EXPECT_EQ(lease_.refusal(), "NOPERM not you");
  EXPECT_EQ(log_.count(LogLevel::error, "refuses the lease of this node: NOPERM not you"), 1);
  ASSERT_TRUE(renewed(2)) << "the watch is read all the same";
  EXPECT_FALSE(answer()) << "it was sent again";
  clock_.ahead += 1min;
  ASSERT_TRUE(renewed(3));
  ASSERT_TRUE(answer("NOPERM not you"));
  EXPECT_EQ(log_.count(LogLevel::error), 1);
  lease_.on_connected();
  ASSERT_TRUE(renewed(4));
  ASSERT_TRUE(answer());
  EXPECT_EQ(lease_.refusal(), "");
  EXPECT_EQ(log_.count(LogLevel::notice, "takes the lease of this node again"), 1);
}

TEST_F(LeaseTest, AnOutageKeepsNothingButTheLatest) {
  outbox_.connection_lost();
  config_.lease.interval = 250ms;
  lease_.reconfigure(config_.lease);
  ASSERT_TRUE(renewed(4));
  EXPECT_EQ(outbox_.slots().size(), 1u);
  EXPECT_EQ(outbox_.slots().find(0, "nodebeat:lease:hog")->waits.size(), 1u);
}

// --- the list of nodes ---------------------------------------------------------------------------

class ForgettingTest : public testing::Test {
 protected:
  ForgettingTest() {
    redis::LinkOptions options;
    options.greeting.databases = {0};
    options.command_timeout = 1h;
    options.connect_timeout = 1h;
    options.backoff = {1h, 1h, 1h};
    reader_.emplace(loop_.loop(), options, 0, &FakeStore::make);
    store_.answer("TYPE", "+none\r\n");
    store_.answer("HGET", bulk("{\"since\":1}"));
    store_.answer("HSETNX", ":1\r\n");
  }
  void on_done(Forgetting::Outcome outcome) { outcome_ = outcome; }
  std::optional<Forgetting::Outcome> forget(std::optional<WallTime> older_than = {}) {
    outcome_.reset();
    forgetting_.emplace(*reader_, "eek", older_than,
                        Delegate<void(Forgetting::Outcome)>::to<&ForgettingTest::on_done>(this));
    forgetting_->start();
    loop_.run_until([&] {
      while (store_.pump()) {
      }
      return outcome_.has_value();
    });
    return outcome_;
  }

  test::TestLoop loop_;
  FakeStore store_;
  std::optional<redis::Reader> reader_;
  std::optional<Forgetting> forgetting_;
  std::optional<Forgetting::Outcome> outcome_;
};

TEST_F(ForgettingTest, ANodeThatIsGoneLeavesAllLists) {
  EXPECT_EQ(forget(), Forgetting::Outcome::forgotten);
  EXPECT_EQ(store_.commands(),
            (std::vector<std::string>{"TYPE node:health:eek", "HSTRLEN nodebeat:nodes eek",
                                      "HGET nodebeat:nodes eek", "HDEL nodebeat:nodes eek",
                                      "HDEL nodebeat:strokes eek", "DEL nodebeat:lease:eek",
                                      "HDEL nodebeat:dead eek", "TYPE node:health:eek"}));
}

TEST_F(ForgettingTest, AHealthThatTheWatcherHasLeftIsNoLife) {
  store_.answer("TYPE node:health:eek", "+hash\r\n");
  store_.answer("HGET nodebeat:dead eek", bulk("b i 7 1000 3000"));
  store_.answer("GETRANGE nodebeat:lease:eek 0 384", bulk("b i 7 1000 3000"));
  EXPECT_EQ(forget(), Forgetting::Outcome::forgotten);
  EXPECT_EQ(store_.count("HDEL node:health:eek health"), 1);
  EXPECT_EQ(store_.count("TYPE nodebeat:lease:eek"), 1);
}

TEST_F(ForgettingTest, ALostNodeWhoseLeaseIsGoneIsGone) {
  store_.answer("TYPE node:health:eek", "+hash\r\n");
  store_.answer("HGET nodebeat:dead eek", bulk("b i 7 1000 3000"));
  store_.answer("GETRANGE nodebeat:lease:eek 0 384", bulk(""));
  EXPECT_EQ(forget(), Forgetting::Outcome::forgotten);
  EXPECT_EQ(store_.count("HDEL node:health:eek health"), 1);
}

TEST_F(ForgettingTest, ALostNodeThatHasRenewedItsLeaseIsAlive) {
  store_.answer("TYPE node:health:eek", "+hash\r\n");
  store_.answer("HGET nodebeat:dead eek", bulk("b i 7 1000 3000"));
  store_.answer("GETRANGE nodebeat:lease:eek 0 384", bulk("b i 8 1000 3000"));
  EXPECT_EQ(forget(), Forgetting::Outcome::alive);
  EXPECT_EQ(store_.count("HDEL"), 0);
}

TEST_F(ForgettingTest, ALostNodeThatReturnsMeanwhileIsPutBack) {
  store_.answer("TYPE node:health:eek", "+hash\r\n");
  store_.answer("HGET nodebeat:dead eek", bulk("b i 7 1000 3000"));
  store_.answer("GETRANGE nodebeat:lease:eek 0 384", bulk("b i 7 1000 3000"));
  store_.answer("TYPE nodebeat:lease:eek", "+string\r\n");
  EXPECT_EQ(forget(), Forgetting::Outcome::alive);
  EXPECT_EQ(store_.count("HSETNX nodebeat:nodes eek {\"since\":1}"), 1);
}

TEST_F(ForgettingTest, AUserWithoutTheRightsForTheWatchForgetsTheRest) {
  store_.answer("DEL", "-NOPERM not you\r\n");
  store_.answer("HDEL nodebeat:dead eek", "-NOPERM not you\r\n");
  EXPECT_EQ(forget(), Forgetting::Outcome::forgotten);
}

TEST_F(ForgettingTest, ALivingNodeStays) {
  store_.answer("TYPE", "+hash\r\n");
  store_.answer("HGET nodebeat:dead eek", "$-1\r\n");
  EXPECT_EQ(forget(), Forgetting::Outcome::alive);
  EXPECT_EQ(store_.count("HDEL"), 0);
}

TEST_F(ForgettingTest, ANodeThatNoListHasIsUnknown) {
  store_.answer("HGET", "$-1\r\n");
  EXPECT_EQ(forget(), Forgetting::Outcome::unknown);
  EXPECT_EQ(store_.count("HDEL"), 0);
}

TEST_F(ForgettingTest, WhatIsTooLongIsNotRead) {
  store_.answer("TYPE node:health:eek", "+hash\r\n");
  store_.answer("HSTRLEN nodebeat:dead eek", ":5000000\r\n");
  store_.answer("HSTRLEN nodebeat:nodes eek", ":5000000\r\n");
  store_.answer("GETRANGE nodebeat:lease:eek 0 384", bulk("b i 7 1000 3000"));
  EXPECT_EQ(forget(), Forgetting::Outcome::alive) << "it is no mark";
  store_.answer("GETRANGE nodebeat:lease:eek 0 384", bulk(""));
  EXPECT_EQ(forget(), Forgetting::Outcome::forgotten);
  EXPECT_EQ(store_.count("HGET"), 0);
  store_.answer("TYPE nodebeat:lease:eek", "+string\r\n");
  EXPECT_EQ(forget(), Forgetting::Outcome::alive) << "it has come back";
  EXPECT_EQ(store_.count("HSETNX nodebeat:nodes eek {}"), 1);
}

TEST_F(ForgettingTest, AUserThatMayNotAskForSizesReadsAllTheSame) {
  store_.answer("HSTRLEN", "-NOPERM not you\r\n");
  EXPECT_EQ(forget(), Forgetting::Outcome::forgotten);
  EXPECT_EQ(store_.count("HGET nodebeat:nodes eek"), 1);
}

TEST_F(ForgettingTest, AnAnswerBeyondTheReadersLimitIsNoReasonToForget) {
  const std::string large = "*1\r\n*2\r\n" + bulk("1700000000000-0") +
                            array_of({"health", std::string(redis::Reader::kMaxReplyBytes, 'x')});
  store_.answer("XREVRANGE", large);
  EXPECT_EQ(forget(WallTime(1'700'000'001s)), Forgetting::Outcome::kept);
  EXPECT_EQ(store_.count("HDEL"), 0);
}

TEST_F(ForgettingTest, OnlyANodeThatWasAwayForLongEnoughIsForgotten) {
  store_.answer("XREVRANGE", "*1\r\n*2\r\n" + bulk("1700000000000-0") + array_of({"health", "{}"}));
  const WallTime seen(1'700'000'000s);
  EXPECT_EQ(forget(seen), Forgetting::Outcome::kept);
  EXPECT_EQ(forget(seen - 1s), Forgetting::Outcome::kept);
  EXPECT_EQ(store_.count("HDEL"), 0);
  EXPECT_EQ(forget(seen + 1us), Forgetting::Outcome::forgotten);
  // Nobody knows since when the node is away.
  store_.answer("XREVRANGE", "*0\r\n");
  EXPECT_EQ(forget(seen + 1h), Forgetting::Outcome::kept);
}

TEST_F(ForgettingTest, ARefusalIsToldInRedisWords) {
  store_.answer("HDEL nodebeat:nodes eek", "-NOPERM not you\r\n");
  EXPECT_EQ(forget(), Forgetting::Outcome::refused);
  EXPECT_EQ(forgetting_->words(), "NOPERM not you");
}

TEST_F(ForgettingTest, WithoutRedisNothingIsForgotten) {
  store_.go_away();
  EXPECT_EQ(forget(), Forgetting::Outcome::no_redis);
}

}  // namespace
}  // namespace nb::node
