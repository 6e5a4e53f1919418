// Unit tests of redis/: the pure parts by bytes and times, the link against a scripted server.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/foreign_text.h"
#include "base/random.h"
#include "base/text.h"
#include "redis/link.h"
#include "redis/link_state.h"
#include "redis/pipeline.h"
#include "redis/plain_transport.h"
#include "redis/reply_reader.h"
#include "redis/resp_writer.h"
#include "redis/send_window.h"
#include "redis/trouble.h"
#include "support/fake_redis.h"
#include "support/test_loop.h"
#include "support/updates.h"

namespace nb::redis {
namespace {

using namespace std::chrono_literals;
using outbox::Outbox;
using outbox::Unit;
using test::FakeRedis;
using test::TestLoop;

const MonoTime kNow{1000s};

// What the heap holds more than when this was made; a sanitizer's heap says nothing.
class AllocatedBytes {
 public:
  size_t since() const {
    const size_t now = held();
    return now > at_ ? now - at_ : 0;
  }

 private:
  static size_t held() {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
  }
  const size_t at_ = held();
};

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
  for (Trouble trouble = Trouble::unreachable; trouble <= Trouble::refused;
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

TEST(ReplyReader, ReadsRepliesFedByteByByte) {
  ReplyReader reader(1000);
  std::vector<std::string> texts;
  for (const char c : std::string("+OK\r\n$5\r\nhello\r\n*2\r\n:1\r\n-ERR x\r\n")) {
    ASSERT_TRUE(reader.feed(std::string_view(&c, 1)));
    while (const Reply reply = reader.next()) texts.emplace_back(reply.text());
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"OK", "hello", ""}));
  EXPECT_EQ(reader.fault(), nullptr);
}

TEST(ReplyReader, RefusesRubbishAndMonsters) {
  for (const std::string bad :
       {"HTTP/1.1 400 Bad Request\r\n", "*2147483647\r\n:1\r\n", "*100000\r\n:1\r\n", "$-5\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n!\r\n", ":x\r\n"}) {
    ReplyReader reader(1 << 20);
    (void)reader.feed(bad);
    EXPECT_FALSE(reader.next()) << bad;
    EXPECT_NE(reader.fault(), nullptr) << bad;
    EXPECT_FALSE(reader.feed("+OK\r\n")) << "a faulty reader stays so";
  }
}

constexpr const char* kTooLong = "a reply is longer than redis.max_reply allows";

TEST(ReplyReader, BelievesNoSizeThatIsAnnounced) {
  for (const std::string announced :
       {"$2000000000\r\n", "$9223372036854775807\r\n", "*5000\r\n", "*1\r\n$100001\r\n"}) {
    ReplyReader reader(100'000);
    EXPECT_FALSE(reader.feed(announced)) << "before any of it has come: " << announced;
    EXPECT_STREQ(reader.fault(), kTooLong) << announced;
  }
  ReplyReader reader(100'000);
  EXPECT_TRUE(reader.feed("$99000\r\n"));
}

// Three bytes on the wire are an object and a pointer here.
TEST(ReplyReader, BoundsAReplyInMemoryNotOnlyInBytes) {
  constexpr size_t kLimit = 16 * 1024 * 1024;
  ReplyReader reader(kLimit);
  const AllocatedBytes before;
  ASSERT_TRUE(reader.feed("*84\r\n"));
  std::string full = "*65536\r\n";
  for (int i = 0; i < 65536; ++i) full += "+\r\n";
  int arrays = 0;
  while (reader.feed(full)) {
    EXPECT_FALSE(reader.next());
    ASSERT_LT(++arrays, 84);
  }
  EXPECT_STREQ(reader.fault(), kTooLong);
  EXPECT_GT(arrays, 0);
  EXPECT_LT(before.since(), 2 * kLimit);
}

TEST(ReplyReader, AnEndlessLineIsBoundedAndLookedAtOnce) {
  for (const char kind : {'+', '-'}) {
    ReplyReader reader(64 << 20);
    ASSERT_TRUE(reader.feed(std::string(1, kind)));
    const AllocatedBytes before;
    size_t fed = 0;
    // In small pieces, so that looking at all of it at each would take minutes.
    const std::string piece(16, 'x');
    while (reader.feed(piece)) {
      EXPECT_FALSE(reader.next());
      fed += piece.size();
      ASSERT_LE(fed, ReplyGauge::kMaxLine);
    }
    EXPECT_STREQ(reader.fault(), "a line of a reply is longer than 4 MiB");
    EXPECT_LT(before.since(), 16'000u) << "only its beginning is kept";
  }
}

TEST(ReplyReader, OfALongErrorTheBeginningIsKept) {
  for (const size_t size : {100u, 2046u, 2047u, 2048u, 2049u, 3000u, 2u << 20}) {
    for (const size_t piece : {size_t{1}, size_t{7}, size_t{2048}, size_t{1} << 22}) {
      if (piece < 7 && size > 4000) continue;
      ReplyReader reader(16 << 20);
      const std::string line = "-ERR " + std::string(size - 4, 'x') + "\r\n:7\r\n";
      std::vector<std::string> texts;
      int integers = 0;
      for (size_t at = 0; at < line.size(); at += piece) {
        ASSERT_TRUE(reader.feed(std::string_view(line).substr(at, piece))) << reader.fault();
        while (const Reply reply = reader.next()) {
          reply.is_error() ? texts.emplace_back(reply.text()), 0 : ++integers;
        }
      }
      ASSERT_EQ(texts.size(), 1u) << size << " in pieces of " << piece;
      EXPECT_EQ(integers, 1);
      EXPECT_EQ(texts[0], foreign_text("ERR " + std::string(size - 4, 'x')));
      EXPECT_LE(texts[0].size(), kMaxForeignText);
    }
  }
}

TEST(ReplyReader, ErrorAndStatusAreMadeFitAndDataIsNot) {
  ReplyReader reader(1000);
  ASSERT_TRUE(reader.feed("-ERR a\nWATCHDOG=trigger\r\n+O\x1bK\r\n$3\r\n\n\x1b\xff\r\n"));
  EXPECT_EQ(reader.next().text(), "ERR a\\x0aWATCHDOG=trigger");
  EXPECT_EQ(reader.next().text(), "O\\x1bK");
  EXPECT_EQ(reader.next().text(), "\n\x1b\xff");
}

// Replies of every kind, as bytes; with line ends of all sorts in the texts.
std::string random_reply(Random& random, int depth) {
  const auto below = [&](uint64_t n) { return static_cast<size_t>(random.next() % n); };
  const auto text = [&](size_t size, std::string_view letters) {
    std::string out;
    while (out.size() < size) out += letters[below(letters.size())];
    return out;
  };
  switch (below(depth < 4 ? 7 : 5)) {
    case 0:
    case 1: {
      // Around the length from which on the rest is left out, too; "\r\n" would end it.
      std::string line = text(below(3) == 0 ? 2040 + below(20) : below(20), "ab\r\xc3\xbc ");
      if (below(3) == 0) line += "\n" + text(below(9), "a\n");
      for (size_t at = 0; (at = line.find("\r\n")) != std::string::npos;) line[at] = '.';
      if (line.ends_with('\r')) line.back() = '.';
      return (below(2) == 0 ? "+" : "-") + line + "\r\n";
    }
    case 2:
      return ":" + std::to_string(static_cast<int64_t>(random.next())) + "\r\n";
    case 3:
      return below(2) == 0 ? "$-1\r\n" : "*-1\r\n";
    case 4: {
      const std::string bulk = text(below(4) == 0 ? 3000 : below(20), "$*:+-\r\n12");
      return "$" + std::to_string(bulk.size()) + "\r\n" + bulk + "\r\n";
    }
    default: {
      const size_t count = below(5);
      std::string array = "*" + std::to_string(count) + "\r\n";
      for (size_t i = 0; i < count; ++i) array += random_reply(random, depth + 1);
      return array;
    }
  }
}

std::string shown(Reply reply) {
  std::string out =
      std::to_string(static_cast<int>(reply.kind())) + ":" + std::string(reply.text());
  if (const auto number = reply.integer()) out += std::to_string(*number);
  if (!reply.is_array()) return out + ",";
  for (const Reply element : reply.elements()) out += shown(element);
  return out + ";";
}

TEST(ReplyReader, PiecesMakeNoDifference) {
  Random random(20261126);
  for (int round = 0; round < 300; ++round) {
    std::string bytes;
    const size_t replies = 1 + random.next() % 5;
    for (size_t i = 0; i < replies; ++i) bytes += random_reply(random, 0);
    const auto read = [&](auto piece) {
      ReplyReader reader(1 << 20);
      std::vector<std::string> out;
      for (size_t at = 0; at < bytes.size();) {
        const size_t size = std::min<size_t>(piece(), bytes.size() - at);
        EXPECT_TRUE(reader.feed(std::string(bytes, at, size))) << reader.fault();
        at += size;
        while (const Reply reply = reader.next()) out.push_back(shown(reply));
      }
      EXPECT_EQ(reader.fault(), nullptr);
      return out;
    };
    const auto whole = read([&] { return bytes.size(); });
    ASSERT_EQ(whole.size(), replies) << round;
    EXPECT_EQ(read([] { return size_t{1}; }), whole) << round;
    EXPECT_EQ(read([&] { return 1 + random.next() % 64; }), whole) << round;
    EXPECT_EQ(read([&] { return 1 + random.next() % 4096; }), whole) << round;
  }
}

TEST(ReplyReader, RefusesWhatIsNestedDeep) {
  std::string fine, deep;
  for (int i = 0; i < 7; ++i) fine += "*1\r\n";
  for (int i = 0; i < 100'000; ++i) deep += "*1\r\n";
  ReplyReader reader(16 << 20);
  ASSERT_TRUE(reader.feed(fine + ":1\r\n"));
  EXPECT_TRUE(reader.next());
  EXPECT_FALSE(reader.feed(deep));
  EXPECT_FALSE(reader.next());
  EXPECT_STREQ(reader.fault(), "a reply that is nested too deep");
}

TEST(ReplyReader, AnArrayThatGrowsForEverReachesTheLimit) {
  ReplyReader reader(10'000);
  ASSERT_TRUE(reader.feed("*100\r\n"));
  int fed = 0;
  while (reader.feed("$100\r\n" + std::string(100, 'x') + "\r\n")) {
    EXPECT_FALSE(reader.next());
    ASSERT_LT(++fed, 1000);
  }
  EXPECT_STREQ(reader.fault(), kTooLong);
}

TEST(ReplyReader, ManyShortRepliesAreNotALongOne) {
  ReplyReader reader(100);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(reader.feed("+OK\r\n+O"));
    EXPECT_TRUE(reader.next());
    EXPECT_FALSE(reader.next());
    ASSERT_TRUE(reader.feed("K\r\n"));
    EXPECT_TRUE(reader.next());
  }
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

// Collects what a pipeline tells.
struct Sink final : PipelineSink {
  void on_greeted() override { log += "greeted "; }
  void on_pong(Duration round_trip) override {
    log += "pong:" + std::to_string(round_trip / 1ms) + " ";
  }
  void on_settled(const Unit& unit, const UnitResult& result) override {
    log += "settled:" + std::string(unit.slot != nullptr ? unit.slot->key : "event");
    if (result.subscribers >= 0) log += ":heard_by=" + std::to_string(result.subscribers);
    if (result.echo.existed) log += ":existed";
    if (!result.echo.previous.empty()) log += ":was=" + std::string(result.echo.previous);
    const outbox::Refusals& refusals = result.refusals;
    if (!refusals.value.empty()) log += ":no value=" + std::string(refusals.value);
    if (!refusals.entry.empty()) log += ":no entry=" + std::string(refusals.entry);
    if (!refusals.message.empty()) log += ":no message=" + std::string(refusals.message);
    if (!result.no_transaction.empty()) log += ":apart=" + std::string(result.no_transaction);
    log += " ";
  }
  void on_aborted(const Unit& unit) override {
    log += "aborted:" + std::string(unit.slot != nullptr ? unit.slot->key : "event") + " ";
  }
  std::string log;
};

std::string commands(std::string_view resp) {
  // Command words only: enough to see what is sent and in what order.
  std::string words;
  size_t at = 0;
  while (at < resp.size()) {
    const size_t end = resp.find("\r\n", at);
    const std::string_view line = resp.substr(at, end - at);
    at = end + 2;
    if (line[0] == '*') {
      words += words.empty() ? "" : "; ";
    } else if (line[0] == '$') {
      const auto size = static_cast<size_t>(std::atoi(std::string(line.substr(1)).c_str()));
      if (!words.empty() && words.back() != ' ') words += ' ';
      words += resp.substr(at, size);
      at += size + 2;
    }
  }
  return words;
}

TEST(SendWindow, IsWhatTheServerAnswersWithoutMuchDelay) {
  SendWindow window;
  EXPECT_EQ(window.units(), SendWindow::kMost);
  window.on_answers(10ms, true);  // a long way
  EXPECT_EQ(window.units(), SendWindow::kMost);
  for (int i = 0; i < 10; ++i) window.on_answers(11ms, true);
  EXPECT_EQ(window.units(), SendWindow::kMost) << "hardly longer than the quickest";
  for (int i = 0; i < 100; ++i) window.on_answers(13ms, true);
  EXPECT_LT(window.units(), SendWindow::kLeast + 8);
  EXPECT_GE(window.units(), SendWindow::kLeast);
  const size_t few = window.units();
  window.on_answers(11ms, false);
  EXPECT_EQ(window.units(), few) << "more were not wanted";
  window.on_answers(11ms, true);
  EXPECT_GT(window.units(), few);
  for (int i = 0; i < 100; ++i) window.on_answers(11ms, true);
  EXPECT_EQ(window.units(), SendWindow::kMost);
  window.on_answers(1ms, true);
  window.on_answers(4ms, true);
  EXPECT_LT(window.units(), SendWindow::kMost) << "there is a quicker one now";
}

TEST(Pipeline, GreetsWithEverythingInOneWrite) {
  Sink sink;
  Pipeline pipeline(sink, 1000);
  pipeline.greet({"u", "secret", "nodebeat:hog", {2, 0}}, kNow);
  EXPECT_EQ(commands(pipeline.output()),
            "AUTH u secret; CLIENT SETNAME nodebeat:hog; SELECT 2; SELECT 0; PING");
  EXPECT_FALSE(pipeline.feed("+OK\r\n+OK\r\n+OK\r\n+OK\r\n", kNow).has_value());
  EXPECT_EQ(sink.log, "");
  EXPECT_FALSE(pipeline.feed("+PONG\r\n", kNow + 3ms).has_value());
  EXPECT_EQ(sink.log, "pong:3 greeted ");
}

TEST(Pipeline, AuthenticatesWhoeverIsNamed) {
  const auto greet = [](const char* user, const char* password) {
    Sink sink;
    Pipeline pipeline(sink, 1000);
    pipeline.greet({user, password, "n", {}}, kNow);
    return commands(pipeline.output());
  };
  EXPECT_EQ(greet("", ""), "CLIENT SETNAME n; PING");
  EXPECT_EQ(greet("", "secret"), "AUTH secret; CLIENT SETNAME n; PING");
  EXPECT_EQ(greet("u", ""), "AUTH u ; CLIENT SETNAME n; PING") << "it may need no password";
}

TEST(Pipeline, NamesWhatTheGreetingFailedBy) {
  const auto greet = [](std::string_view replies) {
    Sink sink;
    Pipeline pipeline(sink, 1000);
    pipeline.greet({"", "secret", "n", {0, 20}}, kNow);
    auto failure = pipeline.feed(replies, kNow);
    EXPECT_EQ(failure ? failure->words.find("secret") : std::string::npos, std::string::npos);
    return failure ? failure->trouble : Trouble::none;
  };
  EXPECT_EQ(greet("-WRONGPASS no\r\n"), Trouble::wrong_password);
  EXPECT_EQ(greet("-ERR invalid password\r\n"), Trouble::wrong_password);
  EXPECT_EQ(greet("-LOADING x\r\n"), Trouble::loading);
  EXPECT_EQ(greet("+OK\r\n-NOPERM no client|setname\r\n+OK\r\n+OK\r\n+PONG\r\n"), Trouble::none);
  EXPECT_EQ(greet("+OK\r\n+OK\r\n+OK\r\n-ERR DB index is out of range\r\n"), Trouble::no_database);
  for (const char* error : {"MOVED 1 10.0.0.1:6379", "WRONGTYPE Operation", "CROSSSLOT Keys"}) {
    EXPECT_EQ(greet(format("+OK\r\n+OK\r\n-%s\r\n", error)), Trouble::server_error)
        << "not the database: " << error;
    EXPECT_EQ(greet(format("-%s\r\n", error)), Trouble::server_error) << "not the password";
  }
  EXPECT_EQ(greet("+OK\r\n-ERR max number of clients reached\r\n"), Trouble::not_admitted);
  EXPECT_EQ(greet("-upstream failure\r\n"), Trouble::server_error) << "not the password";
  EXPECT_EQ(greet("-ERR Client sent AUTH, but no password is set\r\n"), Trouble::wrong_password);
  EXPECT_EQ(greet("-ERR unknown command 'AUTH', with args beginning with: 'secret' \r\n"),
            Trouble::wrong_password);
  EXPECT_EQ(greet("+OK\r\n+OK\r\n+OK\r\n-ERR Host is down\r\n"), Trouble::server_error);
  EXPECT_EQ(greet("+OK\r\n-ERR Host is down\r\n+OK\r\n+OK\r\n+PONG\r\n"), Trouble::none)
      << "the name is a courtesy";
  EXPECT_EQ(greet("+OK\r\n+OK\r\n+OK\r\n+OK\r\n-ERR unknown command 'PING'\r\n"),
            Trouble::server_error);
  EXPECT_EQ(greet("+OK\r\n+OK\r\n+OK\r\n+OK\r\n+PENG\r\n"), Trouble::rubbish);
  EXPECT_EQ(greet("+OK\r\n+OK\r\n+OK\r\n+OK\r\n+PONG\r\n+PONG\r\n"), Trouble::rubbish);
}

void put_health(Outbox& outbox, std::string_view json, bool with_history = false,
                MonoTime now = kNow) {
  const outbox::FieldView field{"health", json};
  outbox::SlotUpdate slot;
  slot.key = "node:health:hog";
  slot.fields = {&field, 1};
  slot.ttl = 15s;
  slot.echo = true;
  const outbox::FieldView past{"health", "{}"};
  const outbox::EntryUpdate entry{0, "stream:node_metrics:hog", 5000, {&past, 1}};
  const outbox::MessageUpdate message{"node:events:hog", "{\"type\":\"x\"}", 5s};
  ASSERT_EQ(outbox.put(&slot, with_history ? &entry : nullptr, with_history ? &message : nullptr,
                       now, WallTime{}),
            outbox::Put::accepted);
}

class PipelineUnit : public testing::Test {
 protected:
  PipelineUnit() {
    outbox_.connection_opened();
    put_health(outbox_, "{1}", true);
    EXPECT_TRUE(outbox_.next(unit_, kNow, WallTime{}));
    pipeline_.send(unit_, kNow);
  }
  const std::string queued_ = "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n";
  Outbox outbox_{{"hog", "hog-1", {}}};
  Sink sink_;
  Pipeline pipeline_{sink_, 1000};
  Unit unit_;
};

TEST_F(PipelineUnit, IsOneTransaction) {
  EXPECT_EQ(commands(pipeline_.output()),
            "MULTI; HGET node:health:hog health; HSET node:health:hog health {1}; "
            "PEXPIRE node:health:hog 15000; "
            "XADD stream:node_metrics:hog MAXLEN ~ 5000 * health {}; "
            "PUBLISH node:events:hog {\"type\":\"x\"}; EXEC");
  const std::string queued = "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n";
  EXPECT_FALSE(pipeline_.feed(queued, kNow).has_value());
  EXPECT_EQ(pipeline_.waiting_units(), 1u);
  EXPECT_FALSE(
      pipeline_.feed("*5\r\n$3\r\n{0}\r\n:0\r\n:1\r\n$3\r\n1-0\r\n:2\r\n", kNow).has_value());
  EXPECT_EQ(sink_.log, "settled:node:health:hog:heard_by=2:existed:was={0} ");
  EXPECT_EQ(pipeline_.waiting(), 0u);
}

// Behind a slow line much is sent at once, as after a reconnect, and answered bit by bit.
TEST_F(PipelineUnit, EachAnswerIsWaitedForSinceTheOneBefore) {
  EXPECT_EQ(pipeline_.waiting_since(), kNow);
  EXPECT_FALSE(pipeline_.feed("+OK\r\n+QUE", kNow + 1s));
  EXPECT_EQ(pipeline_.waiting_since(), kNow + 1s);
  EXPECT_FALSE(pipeline_.feed("U", kNow + 2s)) << "half an answer is none";
  EXPECT_EQ(pipeline_.waiting_since(), kNow + 1s);
  pipeline_.ping(kNow + 3s);
  EXPECT_EQ(pipeline_.waiting_since(), kNow + 1s);
}

TEST_F(PipelineUnit, OneBadCommandCostsItsPartAlone) {
  EXPECT_FALSE(pipeline_
                   .feed("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
                         "*5\r\n$-1\r\n-WRONGTYPE bad\r\n:0\r\n$3\r\n1-0\r\n:2\r\n",
                         kNow)
                   .has_value());
  EXPECT_EQ(sink_.log, "settled:node:health:hog:heard_by=2:no value=WRONGTYPE bad ");
}

TEST_F(PipelineUnit, AValueThatWasWrittenIsNotRefusedForTheEntryBehindIt) {
  EXPECT_FALSE(pipeline_
                   .feed(queued_ + "*5\r\n$3\r\n{0}\r\n:0\r\n:1\r\n-WRONGTYPE bad\r\n"
                                   "-NOPERM no channel\r\n",
                         kNow)
                   .has_value());
  EXPECT_EQ(sink_.log,
            "settled:node:health:hog:existed:was={0}:no entry=WRONGTYPE bad:no message=NOPERM no "
            "channel ");
}

// Nothing of it was carried out. It goes again, each part for itself; only the bad one is refused.
TEST_F(PipelineUnit, ACommandThatWasNotQueuedCostsItsPartAlone) {
  pipeline_.output().clear();
  const std::string unknown = "-ERR unknown command 'XADD'\r\n";
  EXPECT_FALSE(pipeline_
                   .feed("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n" + unknown +
                             "+QUEUED\r\n-EXECABORT Transaction discarded because of previous "
                             "errors.\r\n",
                         kNow)
                   .has_value());
  EXPECT_EQ(std::exchange(sink_.log, ""), "aborted:node:health:hog ");
  EXPECT_EQ(pipeline_.waiting_units(), 0u);

  outbox_.aborted(unit_);
  ASSERT_TRUE(outbox_.next(unit_, kNow, WallTime{}));
  EXPECT_TRUE(unit_.apart);
  pipeline_.send(unit_, kNow);
  EXPECT_EQ(commands(pipeline_.output()),
            "MULTI; HGET node:health:hog health; HSET node:health:hog health {1}; "
            "PEXPIRE node:health:hog 15000; EXEC; "
            "XADD stream:node_metrics:hog MAXLEN ~ 5000 * health {}; "
            "PUBLISH node:events:hog {\"type\":\"x\"}");
  EXPECT_FALSE(
      pipeline_
          .feed("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$3\r\n{0}\r\n:0\r\n:1\r\n", kNow)
          .has_value());
  EXPECT_EQ(sink_.log, "") << "not before all parts have their answer";
  EXPECT_FALSE(pipeline_.feed(unknown + ":2\r\n", kNow).has_value());
  EXPECT_EQ(sink_.log,
            "settled:node:health:hog:heard_by=2:existed:was={0}:no entry=ERR unknown command "
            "'XADD' ");
  EXPECT_EQ(pipeline_.waiting(), 0u);
}

// Then nothing of it is there, as the answer says.
TEST_F(PipelineUnit, WithoutItsMainPartNothingOfAUnitIsSent) {
  EXPECT_FALSE(pipeline_
                   .feed("+OK\r\n+QUEUED\r\n-NOPERM no hset\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
                         "-EXECABORT Transaction discarded because of previous errors.\r\n",
                         kNow)
                   .has_value());
  EXPECT_EQ(std::exchange(sink_.log, ""),
            "settled:node:health:hog:no value=NOPERM no hset:no entry=NOPERM no hset:no "
            "message=NOPERM no hset ");
  outbox_.refused(unit_, "NOPERM no hset");

  // Of an event the message is its main part, the entry is not.
  const std::string begin = "+OK\r\n";
  const std::string end = "-EXECABORT Transaction discarded because of previous errors.\r\n";
  for (const std::string& answers : {std::string("+QUEUED\r\n-NOPERM no channel\r\n"),
                                     std::string("-ERR unknown command 'XADD'\r\n+QUEUED\r\n")}) {
    test::Filler{outbox_, kNow}.event("h", "m");
    ASSERT_TRUE(outbox_.next(unit_, kNow, WallTime{}));
    pipeline_.send(unit_, kNow);
    EXPECT_FALSE(pipeline_.feed(begin + answers + end, kNow).has_value());
  }
  EXPECT_EQ(sink_.log,
            "settled:event:no entry=NOPERM no channel:no message=NOPERM no channel aborted:event ");
}

TEST_F(PipelineUnit, AServerThatTakesNoTransactionOverSeveralKeysGetsThePartsOneByOne) {
  const std::string crossslot = "CROSSSLOT Keys in request don't hash to the same slot";
  EXPECT_FALSE(pipeline_.feed(queued_ + "-" + crossslot + "\r\n", kNow).has_value());
  EXPECT_EQ(std::exchange(sink_.log, ""), "aborted:node:health:hog ");
  outbox_.aborted(unit_);
  ASSERT_TRUE(outbox_.next(unit_, kNow, WallTime{}));
  pipeline_.send(unit_, kNow);
  EXPECT_FALSE(pipeline_
                   .feed("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$-1\r\n:1\r\n:1\r\n"
                         "$3\r\n1-0\r\n:2\r\n",
                         kNow)
                   .has_value());
  EXPECT_EQ(std::exchange(sink_.log, ""),
            "settled:node:health:hog:heard_by=2:apart=" + crossslot + " ");
  outbox_.stored(unit_, kNow);
  // It is not asked again on this connection.
  put_health(outbox_, "{2}", true);
  ASSERT_TRUE(outbox_.next(unit_, kNow, WallTime{}));
  EXPECT_FALSE(unit_.apart);
  pipeline_.output().clear();
  pipeline_.send(unit_, kNow);
  EXPECT_NE(commands(pipeline_.output()).find("EXEC; XADD"), std::string::npos);
}

TEST_F(PipelineUnit, WithoutMultiEachCommandIsAnsweredForItself) {
  const std::string_view answers =
      "-NOPERM this user has no permissions to run the 'multi' command\r\n$-1\r\n:1\r\n:1\r\n"
      "$3\r\n1-0\r\n:2\r\n-ERR EXEC without MULTI\r\n";
  EXPECT_FALSE(pipeline_.feed(answers, kNow).has_value());
  EXPECT_EQ(sink_.log,
            "settled:node:health:hog:heard_by=2:apart=NOPERM this user has no permissions to run "
            "the 'multi' command ");
}

TEST_F(PipelineUnit, AnUnknownErrorEndsTheConnectionWhereverItComes) {
  for (const std::string& answers : std::vector<std::string>{
           "-\r\n", queued_ + "-\r\n", queued_ + "*5\r\n$-1\r\n-\r\n:1\r\n:1\r\n:2\r\n",
           "-upstream failure\r\n", "+OK\r\n-ERR Host is down\r\n", queued_ + "-ERR x\r\n",
           queued_ + "*5\r\n$-1\r\n:1\r\n:1\r\n-ERR Host is down\r\n:2\r\n",
           queued_ + "-EXECABORT Transaction discarded because of previous errors.\r\n"}) {
    Outbox outbox{{"hog", "hog-1", {}}};
    outbox.connection_opened();
    put_health(outbox, "{1}", true);
    Sink sink;
    Pipeline pipeline(sink, 1000);
    Unit unit;
    ASSERT_TRUE(outbox.next(unit, kNow, WallTime{}));
    pipeline.send(unit, kNow);
    const auto failure = pipeline.feed(answers, kNow);
    ASSERT_TRUE(failure.has_value()) << answers;
    EXPECT_EQ(failure->trouble, Trouble::server_error) << answers;
    EXPECT_EQ(sink.log, "") << "nothing is given up: " << answers;
  }
}

TEST_F(PipelineUnit, WhatConcernsTheServerEndsTheConnection) {
  const auto failure = pipeline_.feed("+OK\r\n+QUEUED\r\n-OOM command not allowed\r\n", kNow);
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->trouble, Trouble::out_of_memory);
  EXPECT_EQ(failure->words, "OOM command not allowed");
}

TEST_F(PipelineUnit, AnAnswerOfAnotherShapeIsRubbish) {
  const std::string queued = "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n";
  const auto failure = pipeline_.feed(queued + "*1\r\n:1\r\n", kNow);
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->trouble, Trouble::rubbish);
}

TEST(Pipeline, AUnitInAnotherDatabaseIsPrecededByItsSelect) {
  Outbox outbox{{"hog", "hog-1", {}}};
  outbox.connection_opened();
  Sink sink;
  Pipeline pipeline(sink, 1000);
  for (const int db : {0, 3, 3}) {
    const outbox::FieldView field{"f", "v"};
    const outbox::SlotUpdate slot{.db = db, .key = "k", .fields = {&field, 1}};
    (void)outbox.put(&slot, nullptr, nullptr, kNow, WallTime{});
    Unit unit;
    ASSERT_TRUE(outbox.next(unit, kNow, WallTime{}));
    pipeline.send(unit, kNow);
  }
  EXPECT_EQ(commands(pipeline.output()), "HSET k f v; SELECT 3; HSET k f v; HSET k f v");
}

// --- the link, over real sockets, against a server that does as it is told ---

struct Watcher {
  std::vector<std::string> lines;
  std::vector<LinkState> states;
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
            {}},
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

  TestLoop loop_;
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
