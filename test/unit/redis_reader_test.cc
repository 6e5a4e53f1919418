// Unit tests of redis/reader and redis/connection against a scripted server.
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

#include "redis/plain_transport.h"
#include "redis/reader.h"
#include "support/fake_redis.h"
#include "support/stepped_clock.h"
#include "support/test_loop.h"

namespace nb::redis {
namespace {

using namespace std::chrono_literals;
using test::FakeRedis;
using test::SteppedClock;
using test::TestLoop;

// Asks questions and keeps the answers.
struct Asker {
  void on_answer(const ReaderAnswer& answer) {
    limit = answer.limit;
    if (!answer.reply) {
      heard.push_back(!answer.limit ? "none" : "beyond " + std::to_string(answer.limit.most));
    } else {
      heard.push_back(std::string(answer.reply.text()));
    }
    if (reader != nullptr && !next.empty()) {
      const std::string_view command[] = {"GET", next};
      next_id = reader->ask(command, done());
      next.clear();
    }
  }
  Delegate<void(const ReaderAnswer&)> done() {
    return Delegate<void(const ReaderAnswer&)>::to<&Asker::on_answer>(this);
  }
  std::vector<std::string> heard;
  ReplyLimit limit;
  Reader* reader = nullptr;
  std::string next;
  uint64_t next_id = 0;
};

LinkOptions options_for(const FakeRedis& redis) {
  LinkOptions options;
  options.target = {"127.0.0.1", redis.port(), ""};
  options.greeting = {"", "", "nodebeat:hog", {0}};
  options.command_timeout = 1h;
  options.connect_timeout = 5s;
  options.backoff = {1h, 1h, 1h};
  return options;
}

class ReaderTest : public testing::Test {
 protected:
  ReaderTest() {
    ::signal(SIGPIPE, SIG_IGN);
    make(options_for(redis_), 1h);
  }
  void make(LinkOptions options, Duration idle) {
    reader_.emplace(loop_.loop(), std::move(options), 3, &make_plain_transport, idle);
  }
  uint64_t ask(std::string_view key, Asker& asker) {
    const std::string_view command[] = {"GET", key};
    return reader_->ask(command, asker.done());
  }
  bool receives(std::string_view text) {
    return loop_.run_until([&] { return redis_.received_has(text); });
  }
  bool accepts() {
    return loop_.run_until([&] { return redis_.accept(); });
  }
  void greet() {
    ASSERT_TRUE(accepts());
    ASSERT_TRUE(
        receives("nodebeat:hog-read\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*1\r\n$4\r\nPING\r\n"));
    redis_.forget();
    redis_.send("+OK\r\n+OK\r\n+PONG\r\n");
  }
  bool hears(const Asker& asker, std::vector<std::string> wanted) {
    return loop_.run_until([&] { return asker.heard == wanted; });
  }

  // How many questions have come since it was last forgotten what came.
  size_t asked(std::string_view what = "GET\r\n") {
    size_t count = 0;
    for (size_t at = 0; (at = redis_.received().find(what, at)) != std::string::npos; ++at) {
      ++count;
    }
    return count;
  }

  // The server takes its time, until no more than sixteen units are asked at once.
  void be_slow() {
    ask("a", one_);
    greet();
    ASSERT_TRUE(receives("GET\r\n$1\r\na\r\n"));
    redis_.send("$1\r\nA\r\n");
    ASSERT_TRUE(hears(one_, {"A"}));
    for (size_t i = 2; i <= 40; ++i) {
      redis_.forget();
      ask("b", one_);
      ASSERT_TRUE(receives("GET\r\n$1\r\nb\r\n"));
      clock_.ahead += 1s;
      redis_.send("$1\r\nB\r\n");
      ASSERT_TRUE(loop_.run_until([&] { return one_.heard.size() == i; }));
    }
    redis_.forget();
  }

  SteppedClock clock_;
  TestLoop loop_{clock_};
  FakeRedis redis_;
  std::optional<Reader> reader_;
  Asker one_, other_;
};

TEST_F(ReaderTest, ConnectsForTheFirstQuestionAndClosesWhenItIsIdle) {
  make(options_for(redis_), 1ms);
  loop_.loop().run_once(false);
  EXPECT_FALSE(redis_.accept());
  EXPECT_NE(ask("a", one_), 0u);
  greet();
  ASSERT_TRUE(receives("GET\r\n$1\r\na\r\n"));
  redis_.send("$1\r\nA\r\n");
  ASSERT_TRUE(hears(one_, {"A"}));
  ASSERT_TRUE(loop_.run_until([&] { return redis_.is_closed(); }));
  // A next one gets another connection.
  EXPECT_NE(ask("b", one_), 0u);
  greet();
  ASSERT_TRUE(receives("GET\r\n$1\r\nb\r\n"));
  redis_.send("$1\r\nB\r\n");
  ASSERT_TRUE(hears(one_, {"A", "B"}));
}

TEST_F(ReaderTest, AReplyBeyondTheLimitCostsOnlyItsQuestion) {
  ask("a", one_);
  ask("large", one_);
  ask("b", other_);
  greet();
  ASSERT_TRUE(receives("GET\r\n$1\r\nb\r\n"));
  // With the good answer in front of it in one piece.
  redis_.send("$1\r\nA\r\n$5000000\r\nxxx");
  ASSERT_TRUE(loop_.run_until([&] { return !one_.heard.empty(); }));
  EXPECT_EQ(one_.heard, std::vector<std::string>{"beyond 4194304"});
  greet();
  ASSERT_TRUE(receives("GET\r\n$1\r\nb\r\n"));
  EXPECT_TRUE(redis_.received_has("GET\r\n$1\r\na\r\n")) << "what came with it is asked again";
  EXPECT_FALSE(redis_.received_has("large"));
  redis_.send("$1\r\nA\r\n$1\r\nB\r\n");
  ASSERT_TRUE(hears(other_, {"B"}));
  EXPECT_EQ(one_.heard, (std::vector<std::string>{"beyond 4194304", "A"}));
}

TEST_F(ReaderTest, TheLimitThatAReplyIsBeyondIsToldAsWhatItIs) {
  LinkOptions small = options_for(redis_);
  small.max_reply_bytes = 100'000;
  struct Case {
    LinkOptions options;
    std::string reply;
    ReplyLimit::Of of;
    size_t most;
    const char* words;
  };
  std::string deep;
  for (size_t i = 0; i <= ReplyGauge::kMaxDepth; ++i) deep += "*1\r\n";
  const Case cases[] = {
      {options_for(redis_), "$5000000\r\n", ReplyLimit::Of::bytes, 4 << 20, "longer than 4 MiB"},
      {small, "$100001\r\n", ReplyLimit::Of::bytes, 100'000, "redis.max_reply"},
      {options_for(redis_), "*65537\r\n", ReplyLimit::Of::elements, 65536, "65536 elements"},
      {options_for(redis_), deep, ReplyLimit::Of::depth, ReplyGauge::kMaxDepth, "nested too deep"},
  };
  for (const Case& a : cases) {
    Asker asker;
    make(a.options, 1h);
    ask("k", asker);
    greet();
    ASSERT_TRUE(receives("GET\r\n$1\r\nk\r\n"));
    redis_.send(a.reply);
    ASSERT_TRUE(loop_.run_until([&] { return !asker.heard.empty(); }));
    EXPECT_TRUE(asker.limit.of == a.of) << a.words;
    EXPECT_EQ(asker.limit.most, a.most);
    EXPECT_NE(reader_->words().find(a.words), std::string::npos) << reader_->words();
  }
}

TEST_F(ReaderTest, AReplyThatIsNotTheProtocolIsNoLongOne) {
  ask("a", one_);
  ask("b", other_);
  greet();
  ASSERT_TRUE(receives("GET\r\n$1\r\nb\r\n"));
  redis_.send("%1\r\n");
  ASSERT_TRUE(hears(one_, {"none"}));
  EXPECT_NE(reader_->words().find("not RESP2"), std::string::npos) << reader_->words();
  greet();
  ASSERT_TRUE(receives("GET\r\n$1\r\nb\r\n"));
  redis_.send("$1\r\nB\r\n");
  ASSERT_TRUE(hears(other_, {"B"}));
}

TEST_F(ReaderTest, AQuestionForOneConnectionIsNotAskedOnAnother) {
  const std::string_view command[] = {"GET", "b"};
  EXPECT_EQ(reader_->ask(command, other_.done(), Reader::On::this_one), 0u) << "there is none";
  ask("a", one_);
  greet();
  ASSERT_TRUE(receives("GET\r\n$1\r\na\r\n"));
  EXPECT_NE(reader_->ask(command, other_.done(), Reader::On::this_one), 0u);
  ASSERT_TRUE(receives("GET\r\n$1\r\nb\r\n"));
  redis_.close();
  ASSERT_TRUE(hears(other_, {"none"}));
  greet();
  ASSERT_TRUE(receives("GET\r\n$1\r\na\r\n"));
  EXPECT_FALSE(redis_.received_has("GET\r\n$1\r\nb\r\n"));
}

TEST_F(ReaderTest, AQuestionUnderWhichTheConnectionBreaksIsAskedAgainButNotForEver) {
  ask("a", one_);
  for (int i = 0; i < 3; ++i) {
    greet();
    ASSERT_TRUE(receives("GET\r\n$1\r\na\r\n"));
    EXPECT_TRUE(one_.heard.empty());
    redis_.close();
  }
  ASSERT_TRUE(hears(one_, {"none"}));
  EXPECT_NE(reader_->words(), "");
}

TEST_F(ReaderTest, WithoutAServerAllAreToldAndTheNextToo) {
  LinkOptions options = options_for(redis_);
  options.target.port = 1;  // nobody is there
  make(options, 1h);
  EXPECT_NE(ask("a", one_), 0u);
  EXPECT_NE(ask("b", other_), 0u);
  ASSERT_TRUE(hears(one_, {"none"}));
  ASSERT_TRUE(hears(other_, {"none"}));
  EXPECT_EQ(ask("c", one_), 0u) << "it stays away for a while";
  reader_->on_server_there();
  EXPECT_NE(ask("c", one_), 0u);
  ASSERT_TRUE(hears(one_, {"none", "none"}));
}

TEST_F(ReaderTest, WhatIsCancelledIsNotAskedOrNotTold) {
  const uint64_t sent = ask("a", one_);
  const uint64_t unsent = ask("never", one_);
  reader_->cancel(unsent);
  ask("b", other_);
  greet();
  ASSERT_TRUE(receives("GET\r\n$1\r\nb\r\n"));
  EXPECT_FALSE(redis_.received_has("never"));
  reader_->cancel(sent);
  redis_.send("$1\r\nA\r\n$1\r\nB\r\n");
  ASSERT_TRUE(hears(other_, {"B"}));
  EXPECT_TRUE(one_.heard.empty());
}

TEST_F(ReaderTest, ASilentServerIsGivenUp) {
  LinkOptions options = options_for(redis_);
  options.command_timeout = 20ms;
  make(options, 1h);
  ask("a", one_);
  ASSERT_TRUE(accepts());
  ASSERT_TRUE(hears(one_, {"none"}));
  EXPECT_NE(reader_->words(), "");
}

TEST_F(ReaderTest, AQuestionThatWaitsTooLongBehindOthersIsAnsweredAndTheConnectionLives) {
  LinkOptions options = options_for(redis_);
  options.command_timeout = 100ms;
  make(options, 1h);
  for (int i = 0; i < 64; ++i) ask("x", other_);
  ask("late", one_);
  greet();
  ASSERT_TRUE(receives("GET\r\n$1\r\nx\r\n"));
  // An answer every 30 ms: the server is not silent, but 64 of them take too long.
  MonoTime last{};
  int answers = 0;
  ASSERT_TRUE(loop_.run_until([&] {
    if (loop_.loop().now() - last >= 30ms) {
      last = loop_.loop().now();
      redis_.send("$1\r\nX\r\n");
      ++answers;
    }
    return !one_.heard.empty();
  }));
  EXPECT_EQ(one_.heard, std::vector<std::string>{"none"});
  ASSERT_TRUE(loop_.run_until([&] { return other_.heard.size() == 64; }));
  for (; answers < 65; ++answers) redis_.send("$1\r\nX\r\n");
  ask("next", one_);
  ASSERT_TRUE(receives("next"));
  redis_.send("$1\r\nN\r\n");
  ASSERT_TRUE(hears(one_, {"none", "N"}));
  EXPECT_EQ(redis_.connections(), 1);
}

TEST_F(ReaderTest, WhatTheServerCannotDoEndsTheConnectionWhatAUserMayNotDoesNot) {
  ask("a", one_);
  greet();
  ASSERT_TRUE(receives("GET\r\n$1\r\na\r\n"));
  redis_.send("-NOPERM this user has no permissions\r\n");
  ASSERT_TRUE(hears(one_, {"NOPERM this user has no permissions"}));
  ask("b", one_);
  ASSERT_TRUE(receives("GET\r\n$1\r\nb\r\n"));
  redis_.send("-LOADING Redis is loading the dataset in memory\r\n");
  ASSERT_TRUE(loop_.run_until([&] { return one_.heard.size() == 2; }));
  EXPECT_EQ(one_.heard[1], "none");
  EXPECT_NE(reader_->words().find("loading"), std::string::npos);
}

TEST_F(ReaderTest, MayBeAskedAndStoppedFromAnAnswer) {
  one_.reader = &*reader_;
  one_.next = "second";
  ask("first", one_);
  greet();
  ASSERT_TRUE(receives("GET\r\n$5\r\nfirst\r\n"));
  clock_.ahead += 1s;
  redis_.send("$1\r\n1\r\n");
  ASSERT_TRUE(receives("GET\r\n$6\r\nsecond\r\n"));
  clock_.ahead += 1s;
  redis_.send("$1\r\n2\r\n");
  ASSERT_TRUE(hears(one_, {"1", "2"}));
  EXPECT_NE(one_.next_id, 0u);
  ask("third", one_);
  ASSERT_TRUE(receives("GET\r\n$5\r\nthird\r\n"));
  reader_->stop();
  ASSERT_TRUE(loop_.run_until([&] { return redis_.is_closed(); }));
  EXPECT_EQ(one_.heard.size(), 2u);
}

TEST_F(ReaderTest, NothingRunsOnAfterStop) {
  ask("a", one_);
  greet();
  ASSERT_TRUE(receives("GET\r\n$1\r\na\r\n"));
  reader_->stop();
  for (int turn = 0; turn < 10; ++turn) loop_.loop().run_once(false);
  EXPECT_EQ(uv_loop_alive(loop_.loop().raw()), 0) << "a timer runs";
  EXPECT_TRUE(redis_.is_closed());
  EXPECT_TRUE(one_.heard.empty());
}

TEST_F(ReaderTest, ANewConnectionIsNotJudgedByTheOneBefore) {
  be_slow();
  for (int i = 0; i < 20; ++i) ask("c", other_);
  ASSERT_TRUE(loop_.run_until([&] { return asked() == 16; }));
  redis_.close();
  greet();
  EXPECT_TRUE(loop_.run_until([&] { return asked() == 20; }, 2s));
}

TEST_F(ReaderTest, OfPagesABusyServerGetsFourAtATime) {
  be_slow();
  const std::string_view page[] = {"SCAN", "0", "COUNT", "250"};
  for (int i = 0; i < 6; ++i) reader_->ask(page, other_.done());
  ASSERT_TRUE(loop_.run_until([&] { return asked("SCAN\r\n") == 4; }));
  // An answer makes room for one, and a question for a key needs less of it.
  ask("c", one_);
  clock_.ahead += 1s;
  redis_.send("$1\r\n1\r\n");
  ASSERT_TRUE(hears(other_, {"1"}));
  ASSERT_TRUE(loop_.run_until([&] { return asked("SCAN\r\n") == 5; }));
  EXPECT_EQ(asked(), 0u) << "they keep their order";
  clock_.ahead += 1s;
  redis_.send("$1\r\n2\r\n");
  ASSERT_TRUE(loop_.run_until([&] { return asked("SCAN\r\n") == 6; }));
  EXPECT_EQ(asked(), 0u);
  clock_.ahead += 1s;
  redis_.send("$1\r\n3\r\n");
  EXPECT_TRUE(loop_.run_until([&] { return asked() == 1; }));
}

TEST_F(ReaderTest, ReconfiguredToAnotherServerItAsksThere) {
  ask("a", one_);
  greet();
  ASSERT_TRUE(receives("GET\r\n$1\r\na\r\n"));
  FakeRedis there;
  reader_->reconfigure(options_for(there));
  ASSERT_TRUE(loop_.run_until([&] { return there.accept(); }));
  ASSERT_TRUE(loop_.run_until([&] { return there.received_has("PING\r\n"); }));
  there.send("+OK\r\n+OK\r\n+PONG\r\n");
  ASSERT_TRUE(loop_.run_until([&] { return there.received_has("GET\r\n$1\r\na\r\n"); }));
  there.send("$1\r\nA\r\n");
  ASSERT_TRUE(hears(one_, {"A"}));
}

}  // namespace
}  // namespace nb::redis
