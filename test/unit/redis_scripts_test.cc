// Unit tests of redis/scripts against a scripted server.
#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <string>
#include <vector>

#include "redis/plain_transport.h"
#include "redis/scripts.h"
#include "support/fake_redis.h"
#include "support/fast_clock.h"
#include "support/test_loop.h"

namespace nb::redis {
namespace {

using namespace std::chrono_literals;
using test::FakeRedis;
using test::TestLoop;

constexpr Script kScript = {"return ARGV[1]", "0123"};

struct Caller {
  void on_answer(const ScriptAnswer& answer) {
    if (answer.reply) {
      heard.push_back(std::string(answer.reply.text()));
    } else {
      heard.push_back(answer.in_doubt ? "in doubt" : "not sent");
    }
  }
  Delegate<void(const ScriptAnswer&)> done() {
    return Delegate<void(const ScriptAnswer&)>::to<&Caller::on_answer>(this);
  }
  std::vector<std::string> heard;
};

std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}
// As it is sent: one key, and the word.
std::string sent(std::string_view word) {
  return "*5\r\n" + bulk("EVALSHA") + bulk("0123") + bulk("1") + bulk("key") + bulk(word);
}
const std::string kLoad = "*3\r\n" + bulk("SCRIPT") + bulk("LOAD") + bulk("return ARGV[1]");

class ScriptsTest : public testing::Test {
 protected:
  ScriptsTest() {
    ::signal(SIGPIPE, SIG_IGN);
    LinkOptions options;
    options.target = {"127.0.0.1", redis_.port(), ""};
    options.greeting = {"", "", "nodebeat:hog", {0}};
    options.command_timeout = 1h;
    options.connect_timeout = 5s;
    options.backoff = {1ms, 1ms, 1ms};
    scripts_.emplace(loop_.loop(), options, 0, kScript, &make_plain_transport);
  }
  // Each run has a caller of its own, if none is named.
  uint64_t run(std::string_view word, Caller& caller, Duration time = 1h, bool writes = true,
               uint64_t of_caller = 0) {
    const std::string_view words[] = {"key", word};
    return scripts_->run(1, words, writes ? scripts_->take_sequence() : 0,
                         of_caller != 0 ? of_caller : ++last_caller_, loop_.loop().now() + time,
                         caller.done());
  }
  void greet() {
    ASSERT_TRUE(loop_.run_until([&] { return redis_.accept(); }));
    ASSERT_TRUE(receives("nodebeat:hog-script\r\n"));
    ASSERT_TRUE(receives("PING\r\n"));
    redis_.forget();
    redis_.send("+OK\r\n+OK\r\n+PONG\r\n");
  }
  bool receives(std::string_view text) {
    const bool there = loop_.run_until([&] { return redis_.received_has(text); });
    return there;
  }
  void expect(const std::string& text) {
    EXPECT_TRUE(receives(text)) << text;
    redis_.forget();
  }
  bool hears(const Caller& caller, const std::vector<std::string>& wanted) {
    const bool does = loop_.run_until([&] { return caller.heard == wanted; });
    return does;
  }

  TestLoop loop_;
  FakeRedis redis_;
  std::optional<Scripts> scripts_;
  uint64_t last_caller_ = 100;
};

TEST_F(ScriptsTest, RunsInOneWriteAndAnswersInOrder) {
  Caller a;
  Caller b;
  run("1", a);
  run("2", b);
  greet();
  expect(sent("1") + sent("2"));
  redis_.send("+ok 1\r\n$4\r\nok 2\r\n");
  EXPECT_TRUE(hears(a, {"ok 1"}));
  EXPECT_TRUE(hears(b, {"ok 2"}));
  EXPECT_EQ(scripts_->waiting(), 0u);
}

TEST_F(ScriptsTest, LoadsTheScriptWhereTheServerDoesNotKnowIt) {
  constexpr char kUnknown[] = "-NOSCRIPT No matching script. Please use EVAL.\r\n";
  Caller a;
  Caller b;
  Caller c;
  run("1", a);
  run("2", b);
  run("3", c);
  greet();
  expect(sent("1") + sent("2") + sent("3"));
  redis_.send(kUnknown + std::string("+2\r\n"));
  ASSERT_TRUE(hears(b, {"2"}));  // somebody else has loaded it
  // The fourth may not go ahead of those that are sent again.
  Caller d;
  run("4", d);
  redis_.send(kUnknown);
  expect(kLoad + sent("1") + sent("3") + sent("4"));
  redis_.send("$4\r\n0123\r\n+1\r\n+3\r\n+4\r\n");
  EXPECT_TRUE(hears(a, {"1"}));
  EXPECT_TRUE(hears(c, {"3"}));
  EXPECT_TRUE(hears(d, {"4"}));
}

TEST_F(ScriptsTest, AnswersWithTheReasonWhereItMayNotLoadTheScript) {
  Caller a;
  run("1", a);
  greet();
  expect(sent("1"));
  redis_.send("-NOSCRIPT No matching script. Please use EVAL.\r\n");
  expect(kLoad + sent("1"));
  redis_.send("-NOPERM no SCRIPT LOAD for you\r\n-NOSCRIPT No matching script.\r\n");
  EXPECT_TRUE(hears(a, {"NOPERM no SCRIPT LOAD for you"}));
}

// A proxy, or a program that flushes the scripts all the time: the script is sent again after a
// pause, and not at once without end.
TEST_F(ScriptsTest, AServerThatNeverKnowsTheScriptIsGivenUp) {
  Caller a;
  run("1", a, 300ms);
  greet();
  expect(sent("1"));
  for (int load = 0; load < 4; ++load) {
    redis_.send("-NOSCRIPT No matching script.\r\n");
    expect(kLoad + sent("1"));
    redis_.send("$4\r\n0123\r\n");
  }
  redis_.send("-NOSCRIPT No matching script.\r\n");
  ASSERT_TRUE(loop_.run_until([&] { return redis_.accept(); })) << "a new connection";
  EXPECT_TRUE(hears(a, {"not sent"}));
  EXPECT_NE(scripts_->words().find("NOSCRIPT, however often it is loaded"), std::string::npos);
}

TEST_F(ScriptsTest, AnotherDigestThanTheScriptsIsRubbish) {
  for (const char* answer : {"$4\r\n4567\r\n", "+OK\r\n", ":1\r\n", "*0\r\n", "$-1\r\n"}) {
    Caller a;
    run("1", a);
    greet();
    expect(sent("1"));
    redis_.send("-NOSCRIPT No matching script.\r\n");
    expect(kLoad + sent("1"));
    redis_.send(answer);
    greet();
    EXPECT_NE(scripts_->words().find("another digest"), std::string::npos) << answer;
    expect(sent("1"));
    redis_.send("+1\r\n");
    EXPECT_TRUE(hears(a, {"1"}));
    redis_.close();
  }
}

// It would come again however often it is asked.
TEST_F(ScriptsTest, AnErrorOfTheScriptItselfIsItsAnswer) {
  constexpr char kError[] =
      "ERR user_script:7: attempt to compare nil with number script: 0123, on @user_script:7.";
  Caller a;
  Caller b;
  run("1", a);
  run("2", b);
  greet();
  expect(sent("1") + sent("2"));
  redis_.send("-" + std::string(kError) +
              "\r\n-OOM no memory script: 0123, on @user_script:7.\r\n");
  EXPECT_TRUE(hears(a, {kError}));
  greet();
  expect(sent("2"));
  EXPECT_TRUE(b.heard.empty());
}

TEST_F(ScriptsTest, AsksAgainInOrderWhenTheConnectionBreaks) {
  Caller a;
  Caller b;
  run("1", a);
  run("2", b);
  greet();
  expect(sent("1") + sent("2"));
  redis_.send("+ok\r\n");
  ASSERT_TRUE(hears(a, {"ok"}));
  Caller c;
  run("3", c);
  redis_.close();
  greet();
  expect(sent("2") + sent("3"));
  redis_.send("+2\r\n+3\r\n");
  EXPECT_TRUE(hears(b, {"2"}));
  EXPECT_TRUE(hears(c, {"3"}));
  EXPECT_EQ(a.heard.size(), 1u);
}

TEST_F(ScriptsTest, AServerThatCannotIsAskedAgainBehindTheLastAnswer) {
  for (const char* error : {"BUSY Redis is busy running a script.", "OOM command not allowed",
                            "READONLY You can't write against a read only replica."}) {
    Caller a;
    Caller b;
    Caller c;
    run("1", a);
    run("2", b);
    run("3", c);
    greet();
    expect(sent("1") + sent("2") + sent("3"));
    redis_.send("+1\r\n-" + std::string(error) + "\r\n+3\r\n");
    EXPECT_TRUE(hears(a, {"1"}));
    EXPECT_TRUE(hears(c, {"3"}));
    greet();
    expect(sent("2"));
    redis_.send("+2\r\n");
    EXPECT_TRUE(hears(b, {"2"}));
    redis_.close();
  }
}

TEST_F(ScriptsTest, NothingOvertakesAnEarlierWriteOfItsCaller) {
  for (const char* error :
       {"BUSY Redis is busy running a script.", "NOSCRIPT No matching script."}) {
    Caller a;
    Caller b;
    run("1", a, 1h, true, 7);
    run("3", a, 1h, true, 7);
    run("4", a, 1h, false, 7);
    run("2", b, 1h, true, 8);
    greet();
    expect(sent("1") + sent("2"));
    redis_.send("-" + std::string(error) + "\r\n+2\r\n");
    EXPECT_TRUE(hears(b, {"2"}));
    if (*error == 'B') {
      greet();
      expect(sent("1"));
    } else {
      expect(kLoad + sent("1"));
      redis_.send("$4\r\n0123\r\n");
    }
    redis_.send("+1\r\n");
    EXPECT_TRUE(hears(a, {"1"}));
    expect(sent("3"));
    redis_.send("+3\r\n");
    EXPECT_TRUE(hears(a, {"1", "3"}));
    expect(sent("4"));
    redis_.send("+4\r\n");
    EXPECT_TRUE(hears(a, {"1", "3", "4"}));
    redis_.close();
  }
}

// The reads of a client that asks for many people go together.
TEST_F(ScriptsTest, ReadsOfOneCallerGoInOneWrite) {
  Caller a;
  for (const char* word : {"1", "2"}) run(word, a, 1h, false, 7);
  run("3", a, 1h, true, 7);
  greet();
  expect(sent("1") + sent("2") + sent("3"));
}

TEST_F(ScriptsTest, AWriteThatNobodyWaitsForHoldsNothingUp) {
  Caller a;
  Caller late;
  run("1", late, 200ms, true, 7);
  greet();
  expect(sent("1"));
  EXPECT_TRUE(hears(late, {"in doubt"}));
  run("2", a, 1h, true, 7);
  expect(sent("2"));
}

TEST_F(ScriptsTest, ARefusalOfOneRunIsItsAnswer) {
  Caller a;
  Caller b;
  run("1", a);
  run("2", b);
  greet();
  expect(sent("1") + sent("2"));
  redis_.send("-NOPERM this user\r\n-WRONGTYPE Operation\r\n");
  EXPECT_TRUE(hears(a, {"NOPERM this user"}));
  EXPECT_TRUE(hears(b, {"WRONGTYPE Operation"}));
}

TEST_F(ScriptsTest, TimeTellsWhatIsInDoubtFromWhatWasNotSent) {
  Caller unsent;
  run("0", unsent, 1ms);
  EXPECT_TRUE(hears(unsent, {"not sent"}));
  Caller refused;
  run("1", refused, 200ms);
  greet();
  expect(sent("1"));
  redis_.send("-OOM command not allowed\r\n");
  EXPECT_TRUE(hears(refused, {"not sent"}));
  EXPECT_NE(scripts_->words().find("OOM"), std::string::npos);
  Caller again;
  run("1", again, 200ms);
  greet();
  expect(sent("1"));
  EXPECT_TRUE(hears(again, {"in doubt"}));
  EXPECT_NE(scripts_->words().find("OOM"), std::string::npos) << "nothing was answered since";
  redis_.send("+1\r\n");
  Caller doubtful;
  run("2", doubtful, 200ms);
  expect(sent("2"));
  EXPECT_TRUE(hears(doubtful, {"in doubt"}));
  // Its answer comes all the same, and is not taken for another one's.
  Caller next;
  run("3", next);
  expect(sent("3"));
  redis_.send("+2\r\n+3\r\n");
  EXPECT_TRUE(hears(next, {"3"}));
  EXPECT_EQ(doubtful.heard.size(), 1u);
}

// It was sent to the server before, which may have carried it out.
TEST_F(ScriptsTest, WhatIsInDoubtIsNotSentToAnotherServer) {
  Caller a;
  Caller b;
  run("1", a);
  greet();
  expect(sent("1"));
  redis_.close();
  ASSERT_TRUE(loop_.run_until([&] { return redis_.accept(); }));
  run("2", b);
  FakeRedis there;
  LinkOptions options;
  options.target = {"127.0.0.1", there.port(), ""};
  options.command_timeout = 1h;
  scripts_->reconfigure(options);
  EXPECT_TRUE(hears(a, {"in doubt"}));
  ASSERT_TRUE(loop_.run_until([&] { return there.accept(); }));
  ASSERT_TRUE(loop_.run_until([&] { return there.received_has("PING\r\n"); }));
  there.send("+OK\r\n+OK\r\n+PONG\r\n");
  EXPECT_TRUE(loop_.run_until([&] { return there.received_has(sent("2")); }));
  EXPECT_FALSE(there.received_has(sent("1")));
}

TEST_F(ScriptsTest, AnAnswerBeyondTheLimitIsItsRunsEnd) {
  Caller a;
  run("1", a);
  greet();
  expect(sent("1"));
  redis_.send("$4194294\r\nhalf");  // 4 MiB with its first line
  redis_.close();
  greet();
  expect(sent("1"));
  EXPECT_TRUE(a.heard.empty());
  redis_.send("$4194295\r\n");
  EXPECT_TRUE(hears(a, {"in doubt"}));
  EXPECT_NE(scripts_->words().find("longer than 4 MiB"), std::string::npos) << scripts_->words();
}

// Counts the timers that are started for less than a second.
class CountingClock final : public Clock {
 public:
  MonoTime now() const override { return fast_.now(); }
  WallTime wall_now() const override { return fast_.wall_now(); }
  Duration real_delay(Duration delay) const override {
    short_waits += delay < 1s;
    return fast_.real_delay(delay);
  }

  mutable int short_waits = 0;

 private:
  test::FastClock fast_;
};

TEST_F(ScriptsTest, AnIdleConnectionIsClosedAndTheNextRunHasAnother) {
  const CountingClock clock;
  TestLoop loop(clock);
  LinkOptions options;
  options.target = {"127.0.0.1", redis_.port(), ""};
  options.greeting = {"", "", "nodebeat:hog", {0}};
  options.command_timeout = options.connect_timeout = 10h;
  Scripts scripts(loop.loop(), options, 0, kScript, &make_plain_transport);
  Caller caller;
  const std::string_view words[] = {"key", "1"};
  for (size_t i = 1; i <= 2; ++i) {
    scripts.run(1, words, 0, 1, clock.now() + 10h, caller.done());
    ASSERT_TRUE(loop.run_until([&] { return redis_.accept(); })) << i;
    ASSERT_TRUE(loop.run_until([&] { return redis_.received_has("PING\r\n"); }));
    redis_.send("+OK\r\n+OK\r\n+PONG\r\n");
    ASSERT_TRUE(loop.run_until([&] { return redis_.received_has(sent("1")); }));
    const MonoTime answered = clock.now();
    redis_.send("+ok\r\n");
    ASSERT_TRUE(loop.run_until([&] { return caller.heard.size() == i; }));
    ASSERT_TRUE(loop.run_until([&] { return redis_.is_closed(); }));
    EXPECT_GE(clock.now() - answered, Scripts::kIdle);
  }
  EXPECT_LE(clock.short_waits, 4) << "an idle connection wakes nobody";
}

TEST_F(ScriptsTest, NothingRunsOnAfterStop) {
  Caller a;
  run("1", a);
  greet();
  expect(sent("1"));
  scripts_->stop();
  for (int turn = 0; turn < 10; ++turn) loop_.loop().run_once(false);
  EXPECT_EQ(uv_loop_alive(loop_.loop().raw()), 0) << "a timer runs";
  EXPECT_TRUE(redis_.is_closed());
  EXPECT_TRUE(a.heard.empty());
}

TEST_F(ScriptsTest, NoNumberIsSentThatTheScriptCouldForget) {
  std::vector<Caller> callers(Scripts::kWindow + 1);
  std::string wanted;
  for (size_t i = 0; i < callers.size(); ++i) {
    run(std::to_string(i), callers[i]);
    if (i < Scripts::kWindow) wanted += sent(std::to_string(i));
  }
  greet();
  expect(wanted);
  redis_.send("+0\r\n");
  expect(sent(std::to_string(Scripts::kWindow)));
  EXPECT_TRUE(callers.back().heard.empty());
}

// What was sent is kept until it is answered, also if its client has gone.
TEST_F(ScriptsTest, SoManyBytesAreUnderWay) {
  constexpr size_t kCommands = 16;
  const std::string word(Scripts::kBytesUnderWay / kCommands, 'x');
  std::vector<Caller> callers(kCommands);
  for (Caller& caller : callers) run(word, caller);
  Caller next;
  const uint64_t waits = run("next", next);
  greet();
  ASSERT_TRUE(receives(sent(word)));
  scripts_->cancel(waits);
  EXPECT_EQ(scripts_->waiting(), kCommands) << "it was not sent";
  run("last", next);
  redis_.send("+0\r\n");
  expect(sent("last"));
}

TEST_F(ScriptsTest, ACancelledRunIsNotSentAndItsAnswerNotTold) {
  Caller a;
  Caller b;
  const uint64_t first = run("1", a);
  greet();
  expect(sent("1"));
  scripts_->cancel(first);
  scripts_->cancel(run("2", a));
  run("3", b);
  expect(sent("3"));
  redis_.send("+1\r\n+3\r\n");
  EXPECT_TRUE(hears(b, {"3"}));
  EXPECT_TRUE(a.heard.empty());
}

}  // namespace
}  // namespace nb::redis
