// Unit tests of redis/link over real sockets, against a server that does as it is told.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "redis/link.h"
#include "redis/plain_transport.h"
#include "support/fake_redis.h"
#include "support/stepped_clock.h"
#include "support/test_loop.h"
#include "support/updates.h"
#include "uv/soon.h"

namespace nb::redis {
namespace {

using namespace std::chrono_literals;
using outbox::Outbox;
using test::FakeRedis;
using test::put_health;
using test::SteppedClock;
using test::TestLoop;

struct Watcher {
  std::vector<std::string> lines;
  std::vector<LinkState> states;
  std::vector<std::string> published;  // a notice with a '!' before its channel
  LinkStatus last;
  int stored = 0;
  bool finished = false;
  static void sink(void* user, LogLevel, std::string_view line) {
    static_cast<Watcher*>(user)->lines.emplace_back(line);
  }
  void on_status(const LinkStatus& status) {
    states.push_back(status.state);
    last = status;
  }
  void on_slot(const outbox::Slot&, const SlotEcho&) { ++stored; }
  void on_publish(std::string_view channel, std::string_view payload, bool is_notice) {
    published.push_back((is_notice ? "!" : "") + std::string(channel) + " " + std::string(payload));
  }
  void on_finished() { finished = true; }
  int count(std::string_view text) const {
    int n = 0;
    for (const auto& line : lines) n += line.find(text) != std::string::npos;
    return n;
  }
};

class LinkTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { ::signal(SIGPIPE, SIG_IGN); }

  LinkOptions options() {
    LinkOptions options;
    options.target = {"127.0.0.1", redis_.port(), ""};
    options.greeting = {"", "", "nodebeat:hog", {0}};
    options.command_timeout = 100ms;
    options.connect_timeout = 1s;
    options.ping_after = 50ms;
    options.backoff = {1ms, 10ms, 10ms};
    return options;
  }
  void start() { start(options()); }
  void start(LinkOptions options, MakeTransport make_transport = &make_plain_transport) {
    link_.emplace(
        loop_.loop(), log_, outbox_, std::move(options),
        LinkEvents{
            Delegate<void(const LinkStatus&)>::to<&Watcher::on_status>(&watch_),
            Delegate<void(const outbox::Slot&, const SlotEcho&)>::to<&Watcher::on_slot>(&watch_),
            Delegate<void(std::string_view, std::string_view, bool)>::to<&Watcher::on_publish>(
                &watch_)},
        make_transport);
    link_->start();
  }
  bool accepted() {
    return loop_.run_until([&] { return redis_.accept(); });
  }
  void greet() {
    ASSERT_TRUE(accepted());
    ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("PING\r\n"); }));
    redis_.forget();
    redis_.send("+OK\r\n+OK\r\n+PONG\r\n");
  }
  bool reaches(LinkState state) {
    return loop_.run_until([&] { return watch_.last.state == state; });
  }

  SteppedClock clock_;
  TestLoop loop_{clock_};
  FakeRedis redis_;
  Watcher watch_;
  Log log_{&Watcher::sink, &watch_, LogLevel::debug};
  Outbox outbox_{{"hog", "hog-1", {}}};
  std::optional<Link> link_;
};

TEST_F(LinkTest, GoesThroughItsStatesAndDeliversWhatWaited) {
  put_health(outbox_, "{1}");
  start();
  greet();
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("EXEC\r\n"); }));
  EXPECT_EQ(watch_.last.state, LinkState::replaying);
  redis_.send("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$-1\r\n:1\r\n:1\r\n");
  ASSERT_TRUE(reaches(LinkState::steady));
  EXPECT_EQ(watch_.stored, 1);
  EXPECT_EQ(watch_.states,
            (std::vector{LinkState::resolving, LinkState::connecting, LinkState::greeting,
                         LinkState::replaying, LinkState::steady}));
  EXPECT_EQ(watch_.count("connected"), 1);
}

// A proxy that answers PING itself, and whose server is away.
TEST_F(LinkTest, AServerThatAnswersPingAndRefusesEverythingIsNeverSteadyAndNothingIsLost) {
  put_health(outbox_, "{1}", true, loop_.loop().now());
  start();
  for (int i = 0; i < 3; ++i) {
    greet();
    ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("EXEC\r\n"); }));
    redis_.send("-upstream failure\r\n");
    ASSERT_TRUE(loop_.run_until([&] { return watch_.last.failures == i + 1u; }));
    EXPECT_EQ(watch_.last.trouble, Trouble::server_error);
    EXPECT_EQ(watch_.last.words, "the server answers with an error (upstream failure)");
  }
  EXPECT_EQ(std::ranges::count(watch_.states, LinkState::steady), 0);
  EXPECT_EQ(watch_.count("upstream failure"), 1);
  EXPECT_EQ(outbox_.counters().refused, 0u);
  EXPECT_EQ(outbox_.events().size(), 1u);
  EXPECT_EQ(outbox_.slots().dirty_count(), 1u);
}

TEST_F(LinkTest, WhatRedisAnswersToPingIsShown) {
  start();
  ASSERT_TRUE(accepted());
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("PING\r\n"); }));
  redis_.send("+OK\r\n+OK\r\n-ERR unknown command 'PING', with args beginning with: \r\n");
  ASSERT_TRUE(reaches(LinkState::waiting));
  EXPECT_EQ(watch_.last.words, "the server answers with an error (ERR unknown command 'PING')");
}

TEST_F(LinkTest, ARefusedHealthIsADegradedLinkUntilItIsTaken) {
  put_health(outbox_, "{1}");
  LinkOptions quiet = options();
  quiet.ping_after = quiet.command_timeout = 1h;
  start(quiet);
  greet();
  const auto beat = [&](std::string_view answer) {
    put_health(outbox_, "{2}");
    link_->wake();
    ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("EXEC\r\n"); }));
    redis_.forget();
    redis_.send(answer);
  };
  const std::string_view refused =
      "+OK\r\n+QUEUED\r\n-NOPERM no hset\r\n+QUEUED\r\n-EXECABORT Transaction discarded\r\n";
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("EXEC\r\n"); }));
  redis_.forget();
  redis_.send(refused);
  ASSERT_TRUE(reaches(LinkState::degraded));
  EXPECT_EQ(watch_.last.trouble, Trouble::no_permission);
  EXPECT_EQ(watch_.last.words, "the user lacks a permission (NOPERM no hset)");
  EXPECT_EQ(watch_.last.connects, 0u);
  for (const uint64_t so_far : {1u, 2u, 3u}) {
    ASSERT_TRUE(loop_.run_until([&] { return outbox_.counters().refused == so_far; }));
    beat(refused);
  }
  ASSERT_TRUE(loop_.run_until([&] { return outbox_.counters().refused == 4; }));
  EXPECT_EQ(watch_.lines.size(), 1u) << watch_.lines.back();
  EXPECT_EQ(watch_.stored, 0);
  EXPECT_EQ(std::ranges::count(watch_.states, LinkState::degraded), 1) << "no news";

  const std::string_view taken =
      "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$-1\r\n:1\r\n:1\r\n";
  beat(taken);
  ASSERT_TRUE(reaches(LinkState::steady));
  EXPECT_EQ(watch_.last.words, "");
  EXPECT_EQ(watch_.last.connects, 1u);
  EXPECT_EQ(watch_.count("takes this node's health again"), 1);
  EXPECT_EQ(watch_.count("connected, PING takes"), 1);
  beat(refused);
  ASSERT_TRUE(reaches(LinkState::degraded));
  EXPECT_EQ(watch_.count("NOPERM"), 2) << "said again after it was well";
  EXPECT_EQ(redis_.connections(), 1);
}

TEST_F(LinkTest, IsNotSteadyBeforeTheNodesBeatIsStored) {
  test::Filler{outbox_}.string("k", "v");
  LinkOptions quiet = options();
  quiet.ping_after = quiet.command_timeout = 1h;
  quiet.waits_for_beat = true;
  start(quiet);
  greet();
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("SET"); }));
  redis_.send("+OK\r\n");
  ASSERT_TRUE(loop_.run_until([&] { return outbox_.drained(); }));
  EXPECT_EQ(watch_.last.state, LinkState::replaying);
  put_health(outbox_, "{1}");
  link_->wake();
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("EXEC\r\n"); }));
  redis_.send("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$-1\r\n:1\r\n:1\r\n");
  ASSERT_TRUE(reaches(LinkState::steady));
}

TEST_F(LinkTest, AMissingXaddCostsTheHistoryNotTheHealth) {
  LinkOptions quiet = options();
  quiet.ping_after = quiet.command_timeout = 1h;
  start(quiet);
  greet();
  ASSERT_TRUE(reaches(LinkState::steady));
  put_health(outbox_, "{1}", true, loop_.loop().now());
  link_->wake();
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("EXEC\r\n"); }));
  redis_.forget();
  redis_.send(
      "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n-ERR unknown command 'XADD'\r\n+QUEUED\r\n"
      "-EXECABORT Transaction discarded because of previous errors.\r\n");
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("PUBLISH"); }));
  redis_.send(
      "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$-1\r\n:1\r\n:1\r\n"
      "-ERR unknown command 'XADD'\r\n:0\r\n");
  ASSERT_TRUE(reaches(LinkState::degraded));
  EXPECT_EQ(watch_.stored, 1);
  EXPECT_EQ(watch_.last.trouble, Trouble::refused);
  EXPECT_EQ(watch_.count("refuses this node's history"), 1);
  EXPECT_TRUE(outbox_.drained());
}

TEST_F(LinkTest, OnlyABeatThatHasThePartTellsWhetherRedisTakesIt) {
  LinkOptions quiet = options();
  quiet.ping_after = quiet.command_timeout = 1h;
  start(quiet);
  greet();
  ASSERT_TRUE(reaches(LinkState::steady));
  const auto beat = [&](std::string_view entry, std::string_view message, std::string_view answer) {
    const outbox::FieldView field{"health", "{1}"};
    const outbox::SlotUpdate slot{.key = "node:health:hog", .fields = {&field, 1}, .echo = true};
    test::Filler{outbox_, loop_.loop().now()}.put(&slot, entry, message, 0);
    const int stored = watch_.stored;
    link_->wake();
    ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("EXEC\r\n"); }));
    redis_.forget();
    redis_.send(answer);
    ASSERT_TRUE(loop_.run_until([&] { return watch_.stored == stored + 1; }));
  };
  beat("", "m",
       "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$-1\r\n:1\r\n-NOPERM no channel\r\n");
  EXPECT_EQ(watch_.count("refuses messages on this node's channel"), 1);
  beat("", "", "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$-1\r\n:1\r\n");
  EXPECT_EQ(watch_.count("again"), 0);
  beat("h", "", "-NOPERM no multi\r\n$-1\r\n:1\r\n$3\r\n1-0\r\n-ERR EXEC without MULTI\r\n");
  EXPECT_EQ(watch_.count("refuses what belongs together as one transaction"), 1);
  beat("", "m", "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$-1\r\n:1\r\n:0\r\n");
  EXPECT_EQ(watch_.count("takes messages on this node's channel again"), 1);
  EXPECT_EQ(watch_.count("takes what belongs together as one transaction again"), 1);
}

TEST_F(LinkTest, AServerThatRefusesTheOnlyEventIsNotTakenForOneThatStores) {
  test::Filler{outbox_, loop_.loop().now()}.event({}, "m");
  LinkOptions quiet = options();
  quiet.ping_after = quiet.command_timeout = 1h;
  start(quiet);
  greet();
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("PUBLISH"); }));
  redis_.send("-NOPERM no channel\r\n");
  ASSERT_TRUE(reaches(LinkState::degraded));
  EXPECT_EQ(std::ranges::count(watch_.states, LinkState::steady), 0);
}

TEST_F(LinkTest, ARefusalIsLoggedOnceAndOfAFewKeysHoweverManyThereAre) {
  LinkOptions quiet = options();
  quiet.ping_after = quiet.command_timeout = 1h;
  start(quiet);
  greet();
  ASSERT_TRUE(reaches(LinkState::steady));
  for (int i = 0; i < 100; ++i) {
    test::Filler{outbox_}.string("k" + std::to_string(i), "v");
    link_->wake();
    ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("SET"); }));
    redis_.forget();
    // Two in turn.
    redis_.send(i % 2 == 0 ? "-NOPERM no key\r\n" : "-ERR syntax error\r\n");
    ASSERT_TRUE(loop_.run_until([&] { return outbox_.counters().refused == i + 1u; }));
  }
  EXPECT_EQ(watch_.count("redis refuses k"), 8) << watch_.lines.back();
  EXPECT_EQ(watch_.count("redis refuses k0: NOPERM no key (SET; said once, agent.stats"), 1);
  EXPECT_EQ(watch_.count("(SET; said once, and of no further key or channel"), 2);
  for (int i = 0; i < 20; ++i) {
    test::Filler{outbox_}.string("k0", std::to_string(i));
    link_->wake();
    ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("SET"); }));
    redis_.forget();
    redis_.send("-NOPERM no key\r\n");
    ASSERT_TRUE(loop_.run_until([&] { return outbox_.counters().refused == i + 101u; }));
  }
  EXPECT_EQ(watch_.count("redis refuses k"), 8) << watch_.lines.back();
  EXPECT_EQ(watch_.last.state, LinkState::steady) << "a client's key is not the node's";
}

TEST_F(LinkTest, TheNoticeOfALossIsPublishedAsOneOfTheOutboxOwn) {
  outbox_.set_event_limits({.bytes = 1000, .owner_bytes = 1000});
  test::Filler fill{outbox_, loop_.loop().now()};
  for (int i = 0; i < 10; ++i) fill.event("", "m" + std::to_string(i));
  start();
  greet();
  size_t answered = 0;
  ASSERT_TRUE(loop_.run_until([&] {
    for (; answered < watch_.published.size(); ++answered) redis_.send(":0\r\n");
    return outbox_.drained();
  }));
  EXPECT_TRUE(redis_.received_has("PUBLISH\r\n$15\r\nnode:events:hog\r\n"));
  ASSERT_GE(watch_.published.size(), 2u);
  EXPECT_TRUE(watch_.published[0].starts_with("!node:events:hog {\"type\":\"events_lost\""))
      << watch_.published[0];
  EXPECT_EQ(watch_.published.back(), "c m9");
}

TEST_F(LinkTest, ARefusedEventIsLoggedByItsPartsAndTheSameWordsOnce) {
  LinkOptions quiet = options();
  quiet.ping_after = quiet.command_timeout = 1h;
  start(quiet);
  greet();
  ASSERT_TRUE(reaches(LinkState::steady));
  const auto event = [&](std::string_view results) {
    watch_.lines.clear();
    test::Filler{outbox_, loop_.loop().now()}.event("h", "m");
    link_->wake();
    ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("EXEC\r\n"); }));
    redis_.forget();
    redis_.send("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n" + std::string(results));
    ASSERT_TRUE(loop_.run_until([&] { return outbox_.drained(); }));
  };
  event("-WRONGTYPE no stream\r\n:0\r\n");
  EXPECT_EQ(watch_.count("redis refuses s: WRONGTYPE no stream (XADD"), 1);
  EXPECT_EQ(watch_.lines.size(), 1u);
  event("$3\r\n1-0\r\n-NOPERM no channel\r\n");
  EXPECT_EQ(watch_.count("redis refuses c: NOPERM no channel (PUBLISH"), 1);
  EXPECT_EQ(watch_.lines.size(), 1u);
  event("-ERR syntax error\r\n-ERR syntax error\r\n");
  EXPECT_EQ(watch_.lines.size(), 1u) << "of the message, and not once more of the entry";
  event("-NOPERM no stream\r\n-CROSSSLOT no\r\n");
  EXPECT_EQ(watch_.count("redis refuses c: CROSSSLOT no"), 1);
  EXPECT_EQ(watch_.count("redis refuses s: NOPERM no stream"), 1);
}

TEST_F(LinkTest, ASlowServerGetsLessAtATimeAndMoreAgainWhenItIsQuick) {
  LinkOptions quiet = options();
  quiet.ping_after = quiet.command_timeout = 1h;
  start(quiet);
  greet();
  ASSERT_TRUE(reaches(LinkState::steady));
  test::Filler fill{outbox_};
  fill.string("first", "v");
  link_->wake();
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("first\r\n"); }));
  clock_.ahead += 10s;
  redis_.send("+OK\r\n");
  ASSERT_TRUE(loop_.run_until([&] { return outbox_.drained(); }));
  const size_t most = SendWindow::kWrites.most;
  for (size_t i = 0; i < 3 * most; ++i) fill.string("k" + std::to_string(i), "v");
  link_->wake();
  ASSERT_TRUE(loop_.run_until([&] { return outbox_.in_flight() == most; }));
  clock_.ahead += 20s;  // much longer than the first answer took
  const auto answer = [&](size_t count) {
    std::string answers;
    for (size_t i = 0; i < count; ++i) answers += "+OK\r\n";
    redis_.send(answers);
  };
  answer(most);
  ASSERT_TRUE(loop_.run_until([&] { return outbox_.counters().stored == most + 1; }));
  ASSERT_TRUE(loop_.run_until([&] { return outbox_.in_flight() > 0; }));
  const size_t fewer = outbox_.in_flight();
  EXPECT_LT(fewer, most);
  // Now it is quicker than ever before, and more would have been sent if that had been allowed.
  answer(fewer);
  EXPECT_TRUE(loop_.run_until([&] { return outbox_.in_flight() > fewer; }));
}

TEST_F(LinkTest, ABeatCarriesAPingIfTheLastOneIsOld) {
  LinkOptions slow = options();
  slow.command_timeout = 10h;
  slow.ping_after = 1h;
  start(slow);
  greet();
  ASSERT_TRUE(reaches(LinkState::steady));
  for (int beat = 0; beat < 4; ++beat) {
    const bool late = beat % 2 == 0;
    if (late) clock_.ahead += 1h;
    put_health(outbox_, "{1}");
    link_->wake();
    ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("EXEC\r\n"); }));
    EXPECT_EQ(redis_.received_has("PING\r\n"), late);
    redis_.forget();
    redis_.send(
        (late ? "+PONG\r\n" : "") +
        std::string("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$3\r\n{1}\r\n:0\r\n:1\r\n"));
    ASSERT_TRUE(loop_.run_until([&] { return watch_.stored == beat + 1; }));
  }
}

TEST_F(LinkTest, ASilentServerIsAskedAndThenGivenUp) {
  start();
  greet();
  ASSERT_TRUE(reaches(LinkState::steady));
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("PING\r\n"); }))
      << "asked in silence";
  ASSERT_TRUE(reaches(LinkState::waiting));
  EXPECT_EQ(watch_.last.trouble, Trouble::silent);
  EXPECT_EQ(watch_.count("does not answer (no answer within 100 ms)"), 1);
  greet();
  EXPECT_TRUE(reaches(LinkState::steady)) << "and it comes back";
}

TEST_F(LinkTest, HalfARequestedReplyAndThenSilenceIsFoundToo) {
  put_health(outbox_, "{1}");
  start();
  greet();
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("EXEC\r\n"); }));
  redis_.send("+OK\r\n+QUEUED\r\n+QUE");
  ASSERT_TRUE(reaches(LinkState::waiting));
  EXPECT_EQ(watch_.last.trouble, Trouble::silent);
  EXPECT_EQ(watch_.stored, 0);
  greet();
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("EXEC\r\n"); })) << "sent again";
}

TEST_F(LinkTest, AnAnswerThatCameDuringOurOwnStallCounts) {
  LinkOptions quiet = options();
  quiet.ping_after = 1h;
  start(quiet);
  greet();
  ASSERT_TRUE(reaches(LinkState::steady));
  put_health(outbox_, "{1}");
  link_->wake();
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("EXEC\r\n"); }));
  redis_.send("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$-1\r\n:1\r\n:1\r\n");
  // The stall itself: the loop of this thread does not turn.
  std::this_thread::sleep_for(2 * quiet.command_timeout);
  ASSERT_TRUE(loop_.run_until([&] { return watch_.stored == 1; }));
  EXPECT_EQ(watch_.last.failures, 0u);
}

TEST_F(LinkTest, RubbishIsNamedAndTheLinkGoesOn) {
  start();
  for (const std::string_view rubbish :
       {"HTTP/1.1 400 Bad Request\r\n\r\n", "*2147483647\r\n", "\xff\xfe\n",
        "+PONG\r\n+PONG\r\n+PONG\r\n+PONG\r\n+PONG\r\n"}) {
    ASSERT_TRUE(accepted());
    ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("PING\r\n"); }));
    redis_.send(rubbish);
    ASSERT_TRUE(reaches(LinkState::waiting)) << rubbish;
    EXPECT_EQ(watch_.last.trouble, Trouble::rubbish) << rubbish;
    ASSERT_TRUE(loop_.run_until([&] { return watch_.last.state != LinkState::waiting; }));
  }
}

TEST_F(LinkTest, OneLineForAChangeOfStateNoneForEachTry) {
  start();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(accepted());
    redis_.close();
  }
  EXPECT_EQ(watch_.lines.size(), 1u) << watch_.lines.back();
  EXPECT_NE(watch_.lines[0].find("trying again for ever"), std::string::npos);
  greet();
  ASSERT_TRUE(reaches(LinkState::steady));
  EXPECT_EQ(watch_.lines.size(), 2u);
}

TEST_F(LinkTest, AResetIsFoundAtOnce) {
  start();
  greet();
  ASSERT_TRUE(reaches(LinkState::steady));
  redis_.reset();
  ASSERT_TRUE(reaches(LinkState::waiting));
  EXPECT_EQ(watch_.last.trouble, Trouble::closed);
}

TEST_F(LinkTest, AnIdleServerGetsTheFirstOfManyBeforeTheTurnEnds) {
  start();
  greet();
  ASSERT_TRUE(reaches(LinkState::steady));
  for (int i = 0; i < 40; ++i) {
    test::Filler{outbox_}.string("k" + std::to_string(i), "v");
    link_->wake();
  }
  EXPECT_TRUE(redis_.gets("k10\r\n"));
  EXPECT_TRUE(redis_.gets("k25\r\n"));
  EXPECT_FALSE(redis_.received_has("k39\r\n")) << "the last wait for the rest of the turn";
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("k39\r\n"); }));
}

TEST_F(LinkTest, ABusyServerGetsOneWriteATurn) {
  start();
  greet();
  ASSERT_TRUE(reaches(LinkState::steady));
  for (int i = 0; i < 100; ++i) test::Filler{outbox_}.string("k" + std::to_string(i), "v");
  link_->wake();
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("k99\r\n"); }));
  for (int i = 100; i < 140; ++i) {
    test::Filler{outbox_}.string("k" + std::to_string(i), "v");
    link_->wake();
  }
  EXPECT_EQ(outbox_.in_flight(), 100u);
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("k139\r\n"); }));
}

// Puts a value into the outbox in its turn, and wants another turn.
struct Putter {
  Putter(uv::Loop& loop, Outbox& to, Link& by)
      : outbox(to), link(by), soon(loop, Delegate<void()>::to<&Putter::on_turn>(this)) {
    soon.request();
  }
  void on_turn() {
    test::Filler{outbox}.string("k" + std::to_string(turns), "v");
    link.wake();
    if (++turns < 2) soon.request();
  }
  Outbox& outbox;
  Link& link;
  uv::Soon soon;
  int turns = 0;
};

TEST_F(LinkTest, WhatATurnBringsLeavesBeforeTheNextTurn) {
  LinkOptions quiet = options();
  quiet.ping_after = quiet.command_timeout = 1h;
  start(quiet);
  greet();
  ASSERT_TRUE(reaches(LinkState::steady));
  Putter putter(loop_.loop(), outbox_, *link_);
  loop_.loop().run_once(false);
  EXPECT_EQ(putter.turns, 1);
  EXPECT_EQ(outbox_.in_flight(), 1u);
  loop_.loop().run_once(false);
  EXPECT_EQ(putter.turns, 2);
  EXPECT_EQ(outbox_.in_flight(), 2u);
  EXPECT_NE(uv_backend_timeout(loop_.loop().raw()), 0) << "there is nothing more to do";
}

TEST_F(LinkTest, AConnectionThatDiesInTheMiddleOfATurnIsFoundAfterIt) {
  start();
  greet();
  ASSERT_TRUE(reaches(LinkState::steady));
  redis_.reset();
  for (int i = 0; i < 100; ++i) {
    test::Filler{outbox_}.string("k" + std::to_string(i), "v");
    link_->wake();
    EXPECT_EQ(watch_.last.state, LinkState::steady);
  }
  ASSERT_TRUE(reaches(LinkState::waiting));
  EXPECT_EQ(watch_.last.trouble, Trouble::closed);
  EXPECT_EQ(outbox_.slots().dirty_count(), 100u) << "all of it goes again";
}

TEST_F(LinkTest, FinishWaitsForWhatIsInFlightAndNotForEver) {
  LinkOptions quiet = options();
  quiet.ping_after = quiet.command_timeout = 1h;  // nothing but the unit is sent
  start(quiet);
  greet();
  ASSERT_TRUE(reaches(LinkState::steady));
  put_health(outbox_, "{last}");
  link_->finish(5s, Delegate<void()>::to<&Watcher::on_finished>(&watch_));
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("EXEC\r\n"); }));
  EXPECT_FALSE(watch_.finished);
  redis_.send("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$-1\r\n:1\r\n:1\r\n");
  EXPECT_TRUE(loop_.run_until([&] { return watch_.finished; }));
  EXPECT_EQ(watch_.last.state, LinkState::stopped);
}

TEST_F(LinkTest, FinishBetweenTwoTriesTriesAtOnce) {
  LinkOptions slow = options();
  slow.ping_after = slow.command_timeout = slow.stable_after = 1h;
  slow.backoff = {1h, 1h, 1h};
  start(slow);
  ASSERT_TRUE(accepted());
  redis_.close();
  ASSERT_TRUE(reaches(LinkState::waiting));
  put_health(outbox_, "{last}");
  link_->finish(1h, Delegate<void()>::to<&Watcher::on_finished>(&watch_));
  greet();
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("EXEC\r\n"); }));
  EXPECT_FALSE(watch_.finished);
  redis_.send("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$-1\r\n:1\r\n:1\r\n");
  EXPECT_TRUE(loop_.run_until([&] { return watch_.finished; }));
}

TEST_F(LinkTest, FinishWithASilentServerEndsByItsDeadline) {
  LinkOptions patient = options();
  patient.command_timeout = 1h;
  start(patient);
  greet();
  ASSERT_TRUE(reaches(LinkState::steady));
  put_health(outbox_, "{last}");
  link_->finish(20ms, Delegate<void()>::to<&Watcher::on_finished>(&watch_));
  EXPECT_TRUE(loop_.run_until([&] { return watch_.finished; }));
}

TEST_F(LinkTest, FinishWithoutAConnectionEndsAtOnce) {
  LinkOptions nowhere = options();
  nowhere.target = {"", 0, "/nonexistent/redis.sock"};
  nowhere.backoff = {1h, 1h, 1h};
  start(nowhere);
  ASSERT_TRUE(reaches(LinkState::waiting));
  link_->finish(1h, Delegate<void()>::to<&Watcher::on_finished>(&watch_));
  EXPECT_TRUE(loop_.run_until([&] { return watch_.finished; }));
}

// Asked in the first millisecond, when the first try is still to come.
TEST_F(LinkTest, FinishBeforeTheFirstTryStillSaysTheLastWord) {
  LinkOptions quiet = options();
  quiet.ping_after = quiet.command_timeout = 1h;
  start(quiet);
  put_health(outbox_, "{last}");
  link_->finish(5s, Delegate<void()>::to<&Watcher::on_finished>(&watch_));
  greet();
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("EXEC\r\n"); }));
  EXPECT_FALSE(watch_.finished);
  redis_.send("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$-1\r\n:1\r\n:1\r\n");
  EXPECT_TRUE(loop_.run_until([&] { return watch_.finished; }));
  EXPECT_EQ(watch_.last.state, LinkState::stopped);
}

TEST_F(LinkTest, MayDieInEveryState) {
  // However busy the machine is: the link is not the one that gives up, and in one turn of the loop
  // it may be a state further.
  LinkOptions patient = options();
  patient.command_timeout = patient.connect_timeout = patient.ping_after = 1h;
  const auto has_been = [&](LinkState state) {
    return loop_.run_until([&] { return std::ranges::count(watch_.states, state) > 0; });
  };
  for (const int steps : {0, 1, 2, 3}) {
    start(patient);
    if (steps >= 1) {
      ASSERT_TRUE(has_been(LinkState::connecting));
    }
    if (steps == 2) {
      ASSERT_TRUE(has_been(LinkState::greeting));
    }
    if (steps == 3) {
      greet();
      ASSERT_TRUE(has_been(LinkState::steady));
    }
    link_.reset();
    outbox_.connection_lost();
    while (redis_.accept()) redis_.close();  // the next link is not to be greeted there
    watch_ = {};
  }
}

TEST_F(LinkTest, ReconfiguredToAnotherServerItGoesThereAtOnce) {
  start();
  greet();
  ASSERT_TRUE(reaches(LinkState::steady));
  FakeRedis other;
  LinkOptions changed = options();
  changed.target.port = other.port();
  link_->reconfigure(changed);
  ASSERT_TRUE(loop_.run_until([&] { return other.accept(); }));
  ASSERT_TRUE(loop_.run_until([&] { return other.received_has("PING\r\n"); }));
  other.send("+OK\r\n+OK\r\n+PONG\r\n");
  ASSERT_TRUE(loop_.run_until([&] { return watch_.last.connects == 2; }));
}

int g_transports;

std::unique_ptr<Transport> make_counted_transport(uv::Loop& loop, Transport::Events events) {
  ++g_transports;
  return make_plain_transport(loop, events);
}

// A look-up that hangs belongs to the transport: with a new one at each try they would pile up.
TEST_F(LinkTest, TriesAgainWithTheTransportThatHasNotConnected) {
  LinkOptions nowhere = options();
  { nowhere.target.port = test::Listener().port(); }
  g_transports = 0;
  start(nowhere, &make_counted_transport);
  ASSERT_TRUE(loop_.run_until([&] { return watch_.last.failures > 3; }));
  EXPECT_EQ(g_transports, 1);
  link_->reconfigure(options());
  greet();
  ASSERT_TRUE(reaches(LinkState::steady));
  EXPECT_EQ(g_transports, 2);
}

TEST_F(LinkTest, AShorterPauseIsGoodForTheOneThatRuns) {
  LinkOptions patient = options();
  patient.backoff = {1h, 1h, 1h};
  start(patient);
  ASSERT_TRUE(accepted());
  redis_.reset();
  ASSERT_TRUE(reaches(LinkState::waiting));
  link_->reconfigure(options());
  EXPECT_TRUE(accepted());
}

}  // namespace
}  // namespace nb::redis
