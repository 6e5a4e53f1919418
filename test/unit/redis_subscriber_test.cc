// Unit tests of redis/: queries on the link, the subscriber against a scripted server, and the
// filter for our own echo.
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "redis/echo_filter.h"
#include "redis/link.h"
#include "redis/plain_transport.h"
#include "redis/subscriber.h"
#include "support/fake_redis.h"
#include "support/test_loop.h"
#include "support/updates.h"
#include "uv/handle.h"

namespace nb::redis {
namespace {

using namespace std::chrono_literals;
using test::FakeRedis;
using test::TestLoop;

using Lines = std::vector<std::string>;

struct Watcher {
  Lines log;
  Lines heard;
  int gaps = 0;
  LinkState state = LinkState::stopped;
  static void sink(void* user, LogLevel, std::string_view line) {
    static_cast<Watcher*>(user)->log.emplace_back(line);
  }
  void on_status(const LinkStatus& status) { state = status.state; }
  void on_state(LinkState now) { state = now; }
  void on_message(std::string_view channel, std::string_view payload, std::string_view pattern) {
    heard.push_back(std::string(pattern) + "|" + std::string(channel) + "|" + std::string(payload));
  }
  void on_gap(WallTime from, WallTime to) {
    EXPECT_LE(from, to);
    ++gaps;
  }
  void on_publish(std::string_view channel, std::string_view payload, bool) {
    heard.push_back(std::string(channel) + "|" + std::string(payload));
  }
  void on_reply(const QueryReply& reply) {
    if (!reply.reply) {
      EXPECT_LT(link->status().state, LinkState::replaying) << "so that it can be said why";
      heard.push_back("none: " + std::string(reply.words));
    } else if (!reply.words.empty()) {
      heard.push_back("error: " + std::string(reply.words));
    } else {
      heard.push_back("reply: " + std::string(reply.reply.text()));
    }
    if (ask_again)
      ask_again = link->query(0, std::vector<std::string_view>{"GET", "again"}, done()) == 0;
  }
  Delegate<void(const QueryReply&)> done() {
    return Delegate<void(const QueryReply&)>::to<&Watcher::on_reply>(this);
  }
  Link* link = nullptr;
  bool ask_again = false;
};

LinkOptions options_for(const FakeRedis& redis) {
  LinkOptions options;
  options.target = {"127.0.0.1", redis.port(), ""};
  options.greeting = {"", "", "nodebeat:hog", {0, 1}};
  options.command_timeout = 1h;
  options.connect_timeout = 5s;
  options.ping_after = 1h;
  options.backoff = {1ms, 10ms, 10ms};
  return options;
}

class QueryTest : public testing::Test {
 protected:
  QueryTest() {
    ::signal(SIGPIPE, SIG_IGN);
    link_.emplace(
        loop_.loop(), log_, outbox_, options_for(redis_),
        LinkEvents{
            Delegate<void(const LinkStatus&)>::to<&Watcher::on_status>(&watch_),
            {},
            Delegate<void(std::string_view, std::string_view, bool)>::to<&Watcher::on_publish>(
                &watch_)},
        &make_plain_transport);
    watch_.link = &*link_;
  }
  uint64_t ask(std::vector<std::string_view> words, int db = 0) {
    return link_->query(db, words, watch_.done());
  }
  void connect() {
    link_->start();
    ASSERT_TRUE(loop_.run_until([&] { return redis_.accept(); }));
    ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("PING\r\n"); }));
    redis_.forget();
    EXPECT_EQ(ask({"GET", "early"}), 0u) << "not before the greeting is answered";
    redis_.send("+OK\r\n+OK\r\n+OK\r\n+PONG\r\n");
    ASSERT_TRUE(loop_.run_until([&] { return watch_.state == LinkState::steady; }));
  }
  bool hears(size_t count) {
    return loop_.run_until([&] { return watch_.heard.size() >= count; });
  }

  TestLoop loop_;
  FakeRedis redis_;
  Watcher watch_;
  Log log_{&Watcher::sink, &watch_, LogLevel::debug};
  outbox::Outbox outbox_{{"hog", "hog-1", {}}};
  test::Filler fill_{outbox_, loop_.loop().now()};
  std::optional<Link> link_;
};

TEST_F(QueryTest, WithoutAConnectionThereIsNone) {
  EXPECT_EQ(ask({"GET", "k"}), 0u);
  EXPECT_TRUE(watch_.heard.empty());
}

TEST_F(QueryTest, SeesWhatWasWrittenBeforeItAndErrorsAreAnswers) {
  connect();
  fill_.string("k", "v");
  EXPECT_NE(ask({"GET", "k"}, 0), 0u);
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("GET"); }));
  const std::string sent = redis_.received();
  EXPECT_LT(sent.find("SET"), sent.find("GET")) << sent;
  EXPECT_NE(ask({"HGETALL", "k"}), 0u);
  EXPECT_NE(ask({"GET", "secret"}), 0u);
  redis_.send("+OK\r\n");  // SELECT 0: the greeting ended in 1
  redis_.send("+OK\r\n$1\r\nv\r\n-WRONGTYPE no\r\n-NOPERM no\r\n");
  ASSERT_TRUE(hears(3));
  EXPECT_EQ(watch_.heard, (Lines{"reply: v", "error: WRONGTYPE no", "error: NOPERM no"}));
  EXPECT_EQ(watch_.state, LinkState::steady);
}

TEST_F(QueryTest, GoesToTheDatabaseThatItNames) {
  connect();
  EXPECT_NE(ask({"GET", "k"}, 0), 0u);
  EXPECT_NE(ask({"GET", "l"}, 1), 0u);
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("$1\r\nl\r\n"); }));
  EXPECT_EQ(redis_.received(),
            "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
            "*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n*2\r\n$3\r\nGET\r\n$1\r\nl\r\n");
}

TEST_F(QueryTest, IsToldWhenTheConnectionBreaksOnceUnlessCancelled) {
  connect();
  watch_.ask_again = true;
  EXPECT_NE(ask({"GET", "k"}, 1), 0u);
  const uint64_t cancelled = ask({"GET", "l"}, 1);
  link_->cancel(cancelled);
  redis_.close();
  ASSERT_TRUE(hears(1));
  EXPECT_EQ(watch_.heard.size(), 1u);
  EXPECT_EQ(watch_.heard[0].rfind("none: the connection was closed", 0), 0u) << watch_.heard[0];
  EXPECT_TRUE(watch_.ask_again) << "no connection: not even from inside the call";
}

TEST_F(QueryTest, WhatConcernsTheServerEndsTheConnection) {
  connect();
  EXPECT_NE(ask({"GET", "k"}, 1), 0u);
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("GET"); }));
  redis_.send("-LOADING Redis is loading\r\n");
  ASSERT_TRUE(hears(1));
  EXPECT_NE(watch_.heard[0].find("LOADING"), std::string::npos);
  EXPECT_EQ(link_->status().trouble, Trouble::loading);
}

TEST_F(QueryTest, MayBeAskedFromAnAnswer) {
  connect();
  watch_.ask_again = true;
  EXPECT_NE(ask({"GET", "k"}, 1), 0u);
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("GET"); }));
  redis_.send("$1\r\n1\r\n");
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("again"); }));
  redis_.send("+OK\r\n$-1\r\n");  // SELECT, too
  ASSERT_TRUE(hears(2));
}

TEST_F(QueryTest, WhatIsPublishedIsTold) {
  connect();
  fill_.event("h", "m");
  fill_.event("late", "late", 0, -1s);
  link_->wake();
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("late"); }));
  EXPECT_EQ(watch_.heard, (Lines{"c|m"}));
}

TEST_F(QueryTest, APermissionThatAKeyLacksCostsOnlyThatKey) {
  connect();
  fill_.string("forbidden", "v");
  link_->wake();
  ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("forbidden"); }));
  redis_.send("+OK\r\n-NOPERM no access to that key\r\n");
  ASSERT_TRUE(loop_.run_until([&] { return outbox_.counters().refused == 1; }));
  EXPECT_EQ(watch_.state, LinkState::steady);
}

TEST_F(QueryTest, AWakeFromAnothersPrepareDoesNotWaitForAnEvent) {
  connect();
  struct Waker {
    test::Filler* fill;
    Link* link;
  } waker{&fill_, &*link_};
  uv::Handle<uv_prepare_t> prepare;
  prepare.init(&waker, [&](uv_prepare_t* raw) { return uv_prepare_init(loop_.loop().raw(), raw); });
  uv_prepare_start(prepare.get(), [](uv_prepare_t* raw) {
    uv_prepare_stop(raw);
    auto* self = uv::owner_of<Waker>(raw);
    self->fill->string("from prepare", "v");
    self->link->wake();
  });
  // Nothing else happens for an hour (options_for): the first turn may not wait.
  uv::Timer guard(loop_.loop(), {});
  guard.start(20s);
  loop_.loop().run_once();
  EXPECT_TRUE(guard.active());
  loop_.loop().run_once(false);
  EXPECT_TRUE(redis_.received_has("from prepare"));
}

class SubscriberTest : public testing::Test {
 protected:
  SubscriberTest() {
    ::signal(SIGPIPE, SIG_IGN);
    make(options_for(redis_));
  }
  void make(LinkOptions options, MakeTransport make_transport = &make_plain_transport) {
    subscriber_.emplace(
        loop_.loop(), log_, std::move(options),
        SubscriberEvents{Delegate<void(std::string_view, std::string_view,
                                       std::string_view)>::to<&Watcher::on_message>(&watch_),
                         Delegate<void(WallTime, WallTime)>::to<&Watcher::on_gap>(&watch_),
                         Delegate<void(LinkState)>::to<&Watcher::on_state>(&watch_)},
        make_transport);
  }
  bool reaches(LinkState state) {
    return loop_.run_until([&] { return watch_.state == state; });
  }
  bool receives(std::string_view text) {
    return loop_.run_until([&] { return redis_.received_has(text); });
  }
  void greet() {
    ASSERT_TRUE(loop_.run_until([&] { return redis_.accept(); }));
    ASSERT_TRUE(receives("nodebeat:hog-sub\r\n*1\r\n$4\r\nPING\r\n"));
    redis_.forget();
    redis_.send("+OK\r\n+PONG\r\n");
  }
  void listen() {
    subscriber_->subscribe("a");
    greet();
    ASSERT_TRUE(receives("SUBSCRIBE\r\n$1\r\na\r\n"));
    redis_.send("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    ASSERT_TRUE(reaches(LinkState::steady));
    redis_.forget();
  }

  TestLoop loop_;
  FakeRedis redis_;
  Watcher watch_;
  Log log_{&Watcher::sink, &watch_, LogLevel::debug};
  std::optional<Subscriber> subscriber_;
};

TEST_F(SubscriberTest, ThePrefixIsSeenByRedisOnly) {
  LinkOptions options = options_for(redis_);
  options.prefix = "p:";
  make(options);
  subscriber_->subscribe("a");
  subscriber_->psubscribe("b*");
  greet();
  ASSERT_TRUE(receives("PSUBSCRIBE\r\n$4\r\np:b*\r\n"));
  ASSERT_TRUE(receives("SUBSCRIBE\r\n$3\r\np:a\r\n"));
  redis_.send(
      "*3\r\n$9\r\nsubscribe\r\n$3\r\np:a\r\n:1\r\n"
      "*3\r\n$10\r\npsubscribe\r\n$4\r\np:b*\r\n:2\r\n");
  ASSERT_TRUE(reaches(LinkState::steady));
  redis_.send(
      "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n0\r\n"
      "*4\r\n$8\r\npmessage\r\n$4\r\np:b*\r\n$2\r\nbc\r\n$1\r\n0\r\n"
      "*3\r\n$7\r\nmessage\r\n$3\r\np:a\r\n$1\r\n1\r\n"
      "*4\r\n$8\r\npmessage\r\n$4\r\np:b*\r\n$4\r\np:bc\r\n$1\r\n2\r\n");
  ASSERT_TRUE(loop_.run_until([&] { return watch_.heard.size() == 2; }));
  EXPECT_EQ(watch_.heard, (Lines{"|a|1", "b*|bc|2"}))
      << "what has no prefix is none of this cell's";
}

TEST_F(SubscriberTest, AnAnswerThatCameDuringOurOwnStallCounts) {
  LinkOptions options = options_for(redis_);
  options.command_timeout = 100ms;
  make(options);
  listen();
  subscriber_->subscribe("b");
  ASSERT_TRUE(receives("SUBSCRIBE\r\n$1\r\nb\r\n"));
  redis_.send("*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n");
  redis_.send("*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$2\r\nm1\r\n");
  // The stall itself: the loop of this thread does not turn.
  std::this_thread::sleep_for(2 * options.command_timeout);
  ASSERT_TRUE(loop_.run_until([&] { return watch_.heard.size() == 1; }));
  EXPECT_EQ(watch_.gaps, 0);
  EXPECT_EQ(subscriber_->failures(), 0u);
}

// A look-up that hangs has a thread. Clients come and go meanwhile.
struct HangingTransport final : Transport {
  explicit HangingTransport(Events with) : events(with) { ++made; }
  void connect(const uv::Target&, Duration) override {
    ++connects;
    events.on_stage(uv::DialStage::resolving);
  }
  void cancel() override { ++cancels; }
  Status write(std::string&) override { return {}; }
  size_t queued_bytes() const override { return 0; }

  Events events;
  static inline int made = 0, connects = 0, cancels = 0;
};

TEST_F(SubscriberTest, ALookUpThatHangsIsNotBegunAgainByClientsThatComeAndGo) {
  make(options_for(redis_), [](uv::Loop&, Transport::Events events) -> std::unique_ptr<Transport> {
    return std::make_unique<HangingTransport>(events);
  });
  for (int i = 1; i <= 5; ++i) {
    subscriber_->subscribe("a");
    ASSERT_TRUE(loop_.run_until([&] { return HangingTransport::connects == i; }));
    subscriber_->unsubscribe("a");
    ASSERT_TRUE(loop_.run_until([&] { return subscriber_->state() == LinkState::stopped; }));
    EXPECT_EQ(HangingTransport::cancels, i);
  }
  EXPECT_EQ(HangingTransport::made, 1);
}

TEST_F(SubscriberTest, ConnectsForTheFirstAndClosesAfterTheLast) {
  listen();
  subscriber_->subscribe("a");
  subscriber_->psubscribe("b*");
  ASSERT_TRUE(receives("PSUBSCRIBE\r\n$2\r\nb*\r\n"));
  EXPECT_FALSE(redis_.received_has("$1\r\na\r\n")) << "counted, not sent twice";
  redis_.send("*3\r\n$10\r\npsubscribe\r\n$2\r\nb*\r\n:2\r\n");
  redis_.send("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nm1\r\n");
  redis_.send("*4\r\n$8\r\npmessage\r\n$2\r\nb*\r\n$2\r\nbc\r\n$2\r\nm2\r\n");
  ASSERT_TRUE(loop_.run_until([&] { return watch_.heard.size() == 2; }));
  EXPECT_EQ(watch_.heard, (Lines{"|a|m1", "b*|bc|m2"}));
  subscriber_->unsubscribe("a");
  subscriber_->punsubscribe("b*");
  ASSERT_TRUE(receives("PUNSUBSCRIBE"));
  EXPECT_FALSE(redis_.received_has("$11\r\nUNSUBSCRIBE")) << "one still wants it";
  redis_.send("*3\r\n$12\r\npunsubscribe\r\n$2\r\nb*\r\n:1\r\n");
  redis_.send("*4\r\n$8\r\npmessage\r\n$2\r\nb*\r\n$2\r\nbc\r\n$2\r\nm3\r\n");
  redis_.send("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nm4\r\n");
  ASSERT_TRUE(loop_.run_until([&] { return watch_.heard.size() == 3; }));
  EXPECT_EQ(watch_.heard[2], "|a|m4") << "not what nobody wants any more";
  subscriber_->unsubscribe("a");
  ASSERT_TRUE(reaches(LinkState::stopped));
  EXPECT_EQ(watch_.gaps, 0);
}

TEST_F(SubscriberTest, RestoresAllAndTellsTheGap) {
  listen();
  subscriber_->psubscribe("p*");
  ASSERT_TRUE(receives("PSUBSCRIBE"));
  redis_.reset();
  ASSERT_TRUE(reaches(LinkState::waiting));
  greet();
  ASSERT_TRUE(receives("PSUBSCRIBE\r\n$2\r\np*\r\n"));
  EXPECT_TRUE(redis_.received_has("$9\r\nSUBSCRIBE\r\n$1\r\na\r\n"));
  redis_.send("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
  loop_.run_until([] { return false; }, 5ms);
  EXPECT_EQ(watch_.gaps, 0) << "not before all is restored";
  redis_.send("*3\r\n$10\r\npsubscribe\r\n$2\r\np*\r\n:2\r\n");
  ASSERT_TRUE(reaches(LinkState::steady));
  EXPECT_EQ(watch_.gaps, 1);
}

TEST_F(SubscriberTest, ARefusedChannelIsSaidOnceAndTheOthersGoOn) {
  subscriber_->subscribe("no");
  subscriber_->subscribe("yes");
  for (int i = 0; i < 2; ++i) {
    greet();
    ASSERT_TRUE(receives("yes"));
    redis_.send("-NOPERM this user has no permissions\r\n");
    redis_.send("*3\r\n$9\r\nsubscribe\r\n$3\r\nyes\r\n:1\r\n");
    ASSERT_TRUE(reaches(LinkState::steady));
    redis_.close();
    ASSERT_TRUE(reaches(LinkState::waiting));
  }
  int said = 0;
  for (const std::string& line : watch_.log) said += line.find("listen to 'no'") < line.size();
  EXPECT_EQ(said, 1);
}

TEST_F(SubscriberTest, SilenceIsAskedAndThenGivenUp) {
  LinkOptions quick = options_for(redis_);
  quick.ping_after = 20ms;
  quick.command_timeout = 50ms;
  make(quick);
  listen();
  ASSERT_TRUE(receives("PING"));
  redis_.forget();
  redis_.send("*2\r\n$4\r\npong\r\n$0\r\n\r\n");
  ASSERT_TRUE(receives("PING")) << "answered, and asked again";
  EXPECT_EQ(watch_.state, LinkState::steady);
  ASSERT_TRUE(reaches(LinkState::waiting));
  EXPECT_EQ(subscriber_->trouble(), Trouble::silent);
}

TEST_F(SubscriberTest, WhatIsGivenUpAtOnceIsNeverSent) {
  listen();
  for (int i = 0; i < 1000; ++i) {
    subscriber_->subscribe("b");
    subscriber_->unsubscribe("b");
    subscriber_->psubscribe("b*");
    subscriber_->punsubscribe("b*");
  }
  subscriber_->subscribe("end");
  ASSERT_TRUE(receives("SUBSCRIBE\r\n$3\r\nend\r\n"));
  EXPECT_EQ(redis_.received(), "*2\r\n$9\r\nSUBSCRIBE\r\n$3\r\nend\r\n");
}

TEST_F(SubscriberTest, AClientThatSubscribesInALoopDoesNotFillTheMemory) {
  listen();
  int sent = 0;  // and not answered
  while (sent < 100'000 && watch_.state == LinkState::steady) {
    const bool subscribes = sent / 64 % 2 == 0;
    for (int i = 0; i < 64; ++i) {
      const std::string channel = "c" + std::to_string(i);
      subscribes ? subscriber_->subscribe(channel) : subscriber_->unsubscribe(channel);
    }
    loop_.loop().run_once(false);
    sent += 64;
  }
  EXPECT_EQ(watch_.state, LinkState::waiting);
  EXPECT_EQ(subscriber_->trouble(), Trouble::silent);
  EXPECT_EQ(sent, 16'384 + 64) << "so many is no fault";
}

TEST_F(SubscriberTest, OnlyTheAnswerToItsOwnSubscribeConfirmsAChannel) {
  listen();
  subscriber_->psubscribe("p*");
  subscriber_->unsubscribe("a");
  ASSERT_TRUE(receives("UNSUBSCRIBE\r\n$1\r\na\r\n"));
  subscriber_->subscribe("a");
  ASSERT_TRUE(receives("$9\r\nSUBSCRIBE\r\n$1\r\na\r\n"));
  redis_.send("*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n");
  redis_.send("*3\r\n$10\r\npsubscribe\r\n$2\r\np*\r\n:1\r\n");
  using Stage = Subscriber::Stage;
  ASSERT_TRUE(loop_.run_until([&] { return subscriber_->stage("p*", true) == Stage::listening; }));
  EXPECT_EQ(subscriber_->stage("a", false), Stage::sent);
  // And one that is given up meanwhile is not confirmed at all.
  subscriber_->unsubscribe("a");
  redis_.send("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n");
  redis_.send("*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n");
  redis_.send("*4\r\n$8\r\npmessage\r\n$2\r\np*\r\n$1\r\np\r\n$3\r\nend\r\n");
  ASSERT_TRUE(loop_.run_until([&] { return watch_.heard == Lines{"p*|p|end"}; }));
  EXPECT_EQ(subscriber_->stage("a", false), Stage::refused) << "nobody wants it";
}

TEST_F(SubscriberTest, RubbishIsNamed) {
  for (const std::string_view rubbish :
       {"+OK\r\n+PENG\r\n", "+OK\r\n*1\r\n:1\r\n", "!\r\n", "*-1\r\n*0\r\n",
        "+OK\r\n+PONG\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nz\r\n:1\r\n",
        "+OK\r\n+PONG\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n+OK\r\n"}) {
    subscriber_->subscribe("a");
    ASSERT_TRUE(loop_.run_until([&] { return redis_.accept(); }));
    ASSERT_TRUE(receives("PING"));
    redis_.send(rubbish);
    ASSERT_TRUE(reaches(LinkState::waiting)) << rubbish;
    EXPECT_EQ(subscriber_->trouble(), Trouble::rubbish) << rubbish;
    subscriber_->stop();
    ASSERT_TRUE(reaches(LinkState::stopped));
    while (redis_.accept()) redis_.close();  // on a busy machine it has tried again before the stop
  }
}

TEST_F(SubscriberTest, MayDieAndBeReconfiguredInEveryState) {
  listen();
  FakeRedis other;
  LinkOptions changed = options_for(other);
  subscriber_->reconfigure(changed);
  ASSERT_TRUE(loop_.run_until([&] { return other.accept(); }));
  ASSERT_TRUE(loop_.run_until([&] { return other.received_has("PING\r\n"); }));
  subscriber_.reset();
}

int g_transports;

TEST_F(SubscriberTest, TriesAgainWithTheTransportThatHasNotConnected) {
  LinkOptions nowhere = options_for(redis_);
  { nowhere.target.port = test::Listener().port(); }
  g_transports = 0;
  make(nowhere, [](uv::Loop& loop, Transport::Events events) {
    ++g_transports;
    return make_plain_transport(loop, events);
  });
  subscriber_->subscribe("a");
  ASSERT_TRUE(loop_.run_until([&] { return subscriber_->failures() > 3; }));
  EXPECT_EQ(g_transports, 1);
  subscriber_->reconfigure(options_for(redis_));
  listen();
  EXPECT_EQ(g_transports, 2);
}

TEST_F(SubscriberTest, AShorterPauseIsGoodForTheOneThatRuns) {
  LinkOptions patient = options_for(redis_);
  patient.backoff = {1h, 1h, 1h};
  patient.greeting.user = "u";
  make(patient);
  subscriber_->subscribe("a");
  ASSERT_TRUE(loop_.run_until([&] { return redis_.accept(); }));
  ASSERT_TRUE(receives("AUTH\r\n$1\r\nu\r\n$0\r\n\r\n")) << "it may need no password";
  redis_.reset();
  ASSERT_TRUE(reaches(LinkState::waiting));
  patient.backoff = {1ms, 10ms, 10ms};
  subscriber_->reconfigure(patient);
  EXPECT_TRUE(loop_.run_until([&] { return redis_.accept(); }));
}

TEST(EchoFilter, EachSendingIsGoodForOneCopyByEachWay) {
  EchoFilter filter;
  const MonoTime now{1000s};
  EXPECT_FALSE(filter.is_echo("c", "m", now, ""));
  filter.sent("c", "m", now);
  filter.sent("c", "m", now);
  for (const std::string_view way : {"", "c*", "?"}) {
    EXPECT_TRUE(filter.is_echo("c", "m", now, way));
    EXPECT_TRUE(filter.is_echo("c", "m", now, way));
    EXPECT_FALSE(filter.is_echo("c", "m", now, way)) << "a third one is somebody else's";
  }
  EXPECT_FALSE(filter.is_echo("d", "m", now, ""));
  EXPECT_FALSE(filter.is_echo("c", "n", now, ""));
  filter.clear();
  filter.sent("c", "m", now);
  EXPECT_TRUE(filter.is_echo("c", "m", now, ""));
}

TEST(EchoFilter, ForgetsAfterHalfAMinute) {
  EchoFilter filter;
  const MonoTime now{1000s};
  filter.sent("c", "m", now);
  filter.sent("c", "other", now);
  filter.sent("c", "m", now + 20s);
  EXPECT_TRUE(filter.is_echo("c", "m", now + 31s, "")) << "the second";
  EXPECT_FALSE(filter.is_echo("c", "m", now + 31s, ""));
  EXPECT_FALSE(filter.is_echo("c", "other", now + 31s, ""));
  EXPECT_FALSE(filter.is_echo("c", "m", now + 51s, "p"));
}

TEST(EchoFilter, HoldsTheLastThousandsAndNoMore) {
  EchoFilter filter;
  const MonoTime now{1000s};
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = std::to_string(i);
    filter.sent("c", text, now);
    ASSERT_TRUE(filter.is_echo("c", text, now, "")) << i;
    ASSERT_TRUE(filter.is_echo("c", text, now, "*")) << i;
  }
  EXPECT_FALSE(filter.is_echo("c", "0", now, "x"));
  for (int i = 19'000; i < 20'000; ++i) {
    ASSERT_FALSE(filter.is_echo("c", std::to_string(i), now, "")) << i;
  }
}

}  // namespace
}  // namespace nb::redis
