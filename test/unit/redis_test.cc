// Unit tests of the pure parts of redis/: commands, troubles, the states, the window.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "base/random.h"
#include "base/text.h"
#include "redis/link_state.h"
#include "redis/resp_writer.h"
#include "redis/send_window.h"
#include "redis/trouble.h"

namespace nb::redis {
namespace {

using namespace std::chrono_literals;

const MonoTime kNow{1000s};

TEST(RespWriter, FormatsCommands) {
  std::string out;
  RespWriter(out).command(3).arg("SET").arg("k\r\n").arg(int64_t{-5});
  EXPECT_EQ(out, "*3\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$2\r\n-5\r\n");
}

TEST(Trouble, IsReadFromTheFirstWord) {
  EXPECT_EQ(classify("WRONGPASS invalid username-password pair"), Trouble::wrong_password);
  EXPECT_EQ(classify("NOAUTH Authentication required."), Trouble::wrong_password);
  EXPECT_EQ(classify("NOPERM this user has no permissions"), Trouble::no_permission);
  EXPECT_EQ(classify("LOADING Redis is loading the dataset in memory"), Trouble::loading);
  EXPECT_EQ(classify("READONLY You can't write against a read only replica."), Trouble::read_only);
  EXPECT_EQ(classify("OOM command not allowed"), Trouble::out_of_memory);
  EXPECT_EQ(classify("MASTERDOWN Link with MASTER is down"), Trouble::master_down);
  EXPECT_EQ(classify("ERR max number of clients reached"), Trouble::not_admitted);
  EXPECT_EQ(classify("WRONGTYPE Operation against a key"), Trouble::none);
  EXPECT_EQ(classify("EXECABORT Transaction discarded because of: OOM command not allowed"),
            Trouble::out_of_memory);
  EXPECT_EQ(classify(""), Trouble::none);
}

TEST(Trouble, WhatIsNotOnTheListOfRefusalsIsAFailureOfTheServer) {
  for (const char* error :
       {"upstream failure", "ERR Host is down", "OOMX", "ERR", "ERR no route", "WRONGTYPED x",
        // What only begins like a refusal of Redis, or has one in it.
        "ERR unknown command because upstream is away", "ERR unknown command 'HSET' because",
        "ERR unknown command ''", "ERR unknown command 'HSET", "ERR unknown command 'a b'",
        "ERR unknown command `HSET'", "ERR unknown commands", "ERR syntax errorish",
        "ERR syntax error (backend)", "ERR wrong number of arguments for upstream",
        "ERR wrong number of arguments for 'hset' command, or the backend is away",
        "ERR value is not an integer", "ERR invalid expire time in", "ERR unsupported command x",
        "ERR Elements are too large", "x ERR syntax error", "unsupported commander",
        "EXECABORT Transaction discarded because of previous "
        "errors.",
        "ERR EXEC without MULTI", "INPROG x", "\\x00"}) {
    EXPECT_EQ(classify(error), Trouble::server_error) << error;
    EXPECT_FALSE(refusal_number(error).has_value()) << error;
  }
  std::set<unsigned> numbers;
  for (const char* error :
       {"NOPERM no", "WRONGTYPE Operation", "CROSSSLOT Keys in request", "MOVED 3999 10.0.0.1:6381",
        "ERR unknown command 'XADD', with args beginning with: 'a' ", "ERR syntax error",
        "ERR wrong number of arguments for 'hset' command",
        "ERR invalid expire time in 'client|set' command",
        "ERR The ID specified in XADD is equal or smaller than the target stream top item",
        "ERR The stream has exhausted the last possible ID, unable to add more items"}) {
    EXPECT_EQ(classify(error), std::string_view(error).starts_with("NOPERM")
                                   ? Trouble::no_permission
                                   : Trouble::none)
        << error;
    ASSERT_TRUE(refusal_number(error).has_value()) << error;
    EXPECT_TRUE(numbers.insert(*refusal_number(error)).second) << error;
    EXPECT_LT(*refusal_number(error), kRefusals);
  }
}

TEST(Trouble, AllFormsOfARefusalAreTheSameOne) {
  for (const char* error :
       {"ERR unknown command 'XADD'", "ERR unknown command `XADD`", "ERR unknown command",
        "ERR unknown command `XADD`, with args beginning with: `a`, `b`, ",
        "EXECABORT Transaction discarded because of: ERR unknown command 'XADD'"}) {
    EXPECT_EQ(refusal_number(error), refusal_number("ERR unknown command 'HSET'")) << error;
  }
  EXPECT_EQ(refusal_number("ERR invalid expire time in set"),
            refusal_number("ERR invalid expire time in 'pexpire' command"));
}

// Every state, every cause, and every error that is given up on is in the protocol.
TEST(Trouble, IsInTheProtocol) {
  std::ifstream file(NODEBEAT_SOURCE_ROOT "/include/nodebeat/PROTOCOL.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto part = [&](std::string_view from, std::string_view to) {
    const size_t begin = text.find(from);
    EXPECT_NE(begin, text.npos) << from;
    return text.substr(begin, text.find(to, begin) - begin);
  };
  const std::string states = part("3.5.2.1. `link.state`", "`link.cause` is null");
  for (LinkState state = LinkState::stopped; state <= LinkState::degraded;
       state = static_cast<LinkState>(static_cast<int>(state) + 1)) {
    EXPECT_NE(states.find(format("`%s`", std::string(name(state)).c_str())), states.npos)
        << name(state);
  }
  const std::string causes = part("`link.cause` is null", "3.5.2.2.");
  for (Trouble trouble = Trouble::unresolved; trouble <= Trouble::refused;
       trouble = static_cast<Trouble>(static_cast<int>(trouble) + 1)) {
    EXPECT_NE(causes.find(format("| `%s` |", std::string(name(trouble)).c_str())), causes.npos)
        << name(trouble);
  }
  const std::string list = part("`refused_by_redis`: NOPERM", " Any other error");
  std::set<unsigned> written;
  for (const char* code : {"NOPERM", "WRONGTYPE", "CROSSSLOT", "MOVED"}) {
    EXPECT_NE(list.find(code), list.npos) << code;
    written.insert(refusal_number(code).value_or(kRefusals));
  }
  for (size_t at = list.find('`', list.find("MOVED")); at != list.npos;) {
    const size_t end = list.find('`', at + 1);
    ASSERT_NE(end, list.npos);
    std::string words = list.substr(at + 1, end - at - 1);
    if (const size_t dots = words.find("…"); dots != words.npos) words.replace(dots, 3, "hset");
    const auto number = refusal_number(words);
    EXPECT_TRUE(number) << words;
    written.insert(number.value_or(kRefusals));
    at = list.find('`', end + 1);
  }
  EXPECT_EQ(written.size(), kRefusals);
}

TEST(LinkMachine, GoesItsWayAndNoOther) {
  LinkMachine machine(Backoff({}, Random(1)), 10s);
  EXPECT_FALSE(machine.advance(LinkState::resolving, kNow)) << "not started";
  machine.start();
  EXPECT_FALSE(machine.advance(LinkState::steady, kNow));
  for (const LinkState next : {LinkState::resolving, LinkState::connecting, LinkState::greeting,
                               LinkState::replaying, LinkState::steady}) {
    EXPECT_TRUE(machine.advance(next, kNow)) << name(next);
  }
  EXPECT_FALSE(machine.advance(LinkState::greeting, kNow)) << "never back but by failing";
  (void)machine.fail(Trouble::closed, kNow);
  EXPECT_EQ(machine.state(), LinkState::waiting);
  EXPECT_TRUE(machine.advance(LinkState::connecting, kNow)) << "a socket path needs no resolving";
}

void reach_steady(LinkMachine& machine, MonoTime now) {
  for (const LinkState next : {LinkState::resolving, LinkState::connecting, LinkState::greeting,
                               LinkState::replaying, LinkState::steady}) {
    ASSERT_TRUE(machine.advance(next, now));
  }
}

TEST(LinkMachine, SaysATroubleOnceUntilItChanges) {
  LinkMachine machine(Backoff({}, Random(1)), 10s);
  machine.start();
  EXPECT_TRUE(machine.fail(Trouble::unreachable, kNow).news);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(machine.fail(Trouble::unreachable, kNow).news);
  EXPECT_TRUE(machine.fail(Trouble::loading, kNow).news);
  reach_steady(machine, kNow);
  EXPECT_EQ(machine.trouble(), Trouble::none);
  EXPECT_TRUE(machine.fail(Trouble::loading, kNow).news);
}

TEST(LinkMachine, BacksOffForEverAndAnewOnlyAfterAStableSpell) {
  LinkMachine machine(Backoff({100ms, 5s, 900ms}, Random(1)), 10s);
  machine.start();
  Duration longest{};
  for (int i = 0; i < 10'000; ++i)
    longest = std::max(longest, machine.fail(Trouble::closed, kNow).delay);
  EXPECT_LE(longest, 5s);
  EXPECT_GT(longest, 4s);

  const auto delays_after = [&](Duration steady_for) {
    Duration most{};
    for (int i = 0; i < 50; ++i) {
      reach_steady(machine, kNow);
      most = std::max(most, machine.fail(Trouble::closed, kNow + steady_for).delay);
    }
    return most;
  };
  EXPECT_GT(delays_after(9s), 1s);
  EXPECT_LT(delays_after(10s), 100ms);
}

TEST(LinkMachine, TakesOverOtherLimitsAsItIs) {
  LinkMachine machine(Backoff({1h, 1h, 1h}, Random(1)), 10s);
  machine.start();
  (void)machine.fail(Trouble::closed, kNow);
  machine.set_limits({1ms, 2ms, 2ms}, 0s);
  EXPECT_EQ(machine.state(), LinkState::waiting);
  for (int i = 0; i < 100; ++i) EXPECT_LE(machine.fail(Trouble::closed, kNow).delay, 2ms);
}

TEST(LinkMachine, RestartsAtOnceForAnotherServer) {
  LinkMachine machine(Backoff({}, Random(1)), 10s);
  machine.restart();
  EXPECT_EQ(machine.state(), LinkState::stopped) << "not before it was started";
  machine.start();
  (void)machine.fail(Trouble::closed, kNow);
  machine.restart();
  EXPECT_EQ(machine.trouble(), Trouble::none);
  EXPECT_TRUE(machine.fail(Trouble::closed, kNow).news) << "another server's trouble is news";
}

TEST(LinkMachine, AWrongPasswordIsNotHammered) {
  LinkMachine machine(Backoff({100ms, 5s, 900ms}, Random(7)), 10s);
  machine.start();
  Duration longest{};
  for (int i = 0; i < 20; ++i)
    longest = std::max(longest, machine.fail(Trouble::wrong_password, kNow).delay);
  EXPECT_GT(longest, 2s) << "the full window from the first try on";
}

TEST(SendWindow, IsWhatTheServerAnswersWithoutMuchDelay) {
  SendWindow window(SendWindow::kWrites);
  EXPECT_EQ(window.units(), SendWindow::kWrites.most);
  window.on_answers(10ms, true);  // a long way
  EXPECT_EQ(window.units(), SendWindow::kWrites.most);
  for (int i = 0; i < 10; ++i) window.on_answers(11ms, true);
  EXPECT_EQ(window.units(), SendWindow::kWrites.most) << "hardly longer than the quickest";
  for (int i = 0; i < 100; ++i) window.on_answers(13ms, true);
  EXPECT_LT(window.units(), SendWindow::kWrites.least + 8);
  EXPECT_GE(window.units(), SendWindow::kWrites.least);
  const size_t few = window.units();
  window.on_answers(11ms, false);
  EXPECT_EQ(window.units(), few) << "more were not wanted";
  window.on_answers(11ms, true);
  EXPECT_GT(window.units(), few);
  for (int i = 0; i < 100; ++i) window.on_answers(11ms, true);
  EXPECT_EQ(window.units(), SendWindow::kWrites.most);
  window.on_answers(1ms, true);
  window.on_answers(4ms, true);
  EXPECT_LT(window.units(), SendWindow::kWrites.most) << "there is a quicker one now";
}

}  // namespace
}  // namespace nb::redis
