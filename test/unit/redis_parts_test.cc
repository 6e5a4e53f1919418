// Unit tests of the small parts of redis/: what leads to the same server, the window of what is
// sent, the bounds of a reply, what a greeting's answers mean.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "redis/echo_filter.h"
#include "redis/key_prefix.h"
#include "redis/link_options.h"
#include "redis/link_state.h"
#include "redis/reply_arena.h"
#include "redis/reply_gauge.h"
#include "redis/resp_writer.h"
#include "redis/send_window.h"
#include "redis/trouble.h"
#include "support/count_allocations.h"
#include "support/resp_commands.h"

namespace nb::redis {
namespace {

using namespace std::chrono_literals;

TEST(SameWay, IsTheSameServerAsTheSameUserWithTheSameLimits) {
  LinkOptions options;
  options.target = {"hog", 6379, "/run/redis.sock"};
  options.greeting = {"user", "password", "name", {0, 3}};
  EXPECT_TRUE(same_way(options, options));
  const std::vector<void (*)(LinkOptions&)> other_ways = {
      [](LinkOptions& o) { o.target.host = "ook"; },
      [](LinkOptions& o) { o.target.port = 6380; },
      [](LinkOptions& o) { o.target.unix_path = "/run/other.sock"; },
      [](LinkOptions& o) { o.greeting.user = "other"; },
      [](LinkOptions& o) { o.greeting.password = "other"; },
      [](LinkOptions& o) { o.greeting.client_name = "other"; },
      [](LinkOptions& o) { o.greeting.databases = {0}; },
      [](LinkOptions& o) { ++o.max_reply_bytes; },
  };
  for (size_t i = 0; i < other_ways.size(); ++i) {
    LinkOptions changed = options;
    other_ways[i](changed);
    EXPECT_FALSE(same_way(options, changed)) << i;
    EXPECT_FALSE(same_way(changed, options)) << i;
  }
  LinkOptions changed = options;
  changed.command_timeout = changed.connect_timeout = changed.ping_after = 1h;
  changed.max_output_bytes = 1;
  EXPECT_TRUE(same_way(options, changed)) << "these are good for the connection that there is";
}

TEST(LinkOptions, HaveTheTimesThatTheReadmeGivesReasonsFor) {
  const LinkOptions options;
  EXPECT_EQ(options.command_timeout, 1900ms);
  EXPECT_EQ(options.ping_after, 1s);
  EXPECT_EQ(options.connect_timeout, 2s);
  EXPECT_EQ(options.stable_after, 10s);
  EXPECT_EQ(options.max_reply_bytes, 16u << 20);
  EXPECT_EQ(options.max_output_bytes, 256u << 10);
  EXPECT_FALSE(options.waits_for_beat);
}

TEST(LinkStateName, IsWhatTheProtocolCallsIt) {
  const std::pair<LinkState, const char*> names[] = {
      {LinkState::stopped, "stopped"},     {LinkState::waiting, "waiting"},
      {LinkState::resolving, "resolving"}, {LinkState::connecting, "connecting"},
      {LinkState::greeting, "greeting"},   {LinkState::replaying, "replaying"},
      {LinkState::steady, "steady"},       {LinkState::degraded, "degraded"}};
  for (const auto& [state, text] : names) EXPECT_EQ(name(state), text);
}

TEST(SendWindow, GoesDownAndUpByAnEighth) {
  SendWindow window({100, 10, 2ms});
  EXPECT_EQ(window.units(), 100u);
  window.on_answers(5ms, false);
  window.on_answers(7ms, false);
  EXPECT_EQ(window.units(), 100u) << "two milliseconds longer than the quickest is no delay";
  std::vector<size_t> sizes;
  for (int i = 0; i < 3; ++i) {
    window.on_answers(7ms + 1ns, true);
    sizes.push_back(window.units());
  }
  EXPECT_EQ(sizes, (std::vector<size_t>{88, 77, 68}));
  for (int i = 0; i < 30; ++i) window.on_answers(8ms, false);
  EXPECT_EQ(window.units(), 10u) << "never fewer";
  window.on_answers(6ms, true);
  EXPECT_EQ(window.units(), 11u) << "and by one at least";
  for (int i = 0; i < 30; ++i) window.on_answers(6ms, true);
  EXPECT_EQ(window.units(), 100u) << "never more";
  window.on_answers(9ms, false);
  window.reset();
  EXPECT_EQ(window.units(), 100u);
  window.on_answers(50ms, false);
  EXPECT_EQ(window.units(), 100u) << "another way, perhaps";
}

TEST(RespWriter, WritesEverySizeAndNumber) {
  for (const size_t size : {0u, 1u, 9u, 10u, 63u, 64u, 65u, 99u, 100u, 12'345u}) {
    const std::string text(size, 'x');
    std::string out = "before";
    RespWriter(out).command(size).arg(text);
    const std::string number = std::to_string(size);
    EXPECT_EQ(out, "before*" + number + "\r\n$" + number + "\r\n" + text + "\r\n");
  }
  std::string out;
  RespWriter(out).arg(int64_t{0}).arg(INT64_MIN);
  EXPECT_EQ(out, "$1\r\n0\r\n$20\r\n-9223372036854775808\r\n");
}

// --- the prefix of a cell ---

TEST(RespWriter, PutsThePrefixBeforeKeysOnly) {
  using Words = std::vector<std::string_view>;
  const std::pair<Words, std::string> cases[] = {
      {{"GET", "k"}, "GET p:k"},
      {{"HSET", "k", "k", "k"}, "HSET p:k k k"},
      {{"SCAN", "0", "MATCH", "k*", "COUNT", "1"}, "SCAN 0 MATCH p:k* COUNT 1"},
      {{"XINFO", "STREAM", "k"}, "XINFO STREAM p:k"},
      {{"MEMORY", "USAGE", "k", "SAMPLES", "0"}, "MEMORY USAGE p:k SAMPLES 0"},
      {{"XREAD", "COUNT", "9", "STREAMS", "k", "l", "0", "$"}, "XREAD COUNT 9 STREAMS p:k p:l 0 $"},
      {{"EVALSHA", "f00", "2", "k", "l", "m"}, "EVALSHA f00 2 p:k p:l m"},
      {{"EVALSHA", "f00", "0", "m"}, "EVALSHA f00 0 m"},
      {{"SCRIPT", "LOAD", "k"}, "SCRIPT LOAD k"},
      {{"CONFIG", "GET", "k"}, "CONFIG GET k"},
      {{"ACL", "WHOAMI"}, "ACL WHOAMI"},
      {{"INFO", "server"}, "INFO server"},
      {{"SLOWLOG", "GET", "10"}, "SLOWLOG GET 10"},
      {{"TIME"}, "TIME"},
  };
  for (const auto& [words, wanted] : cases) {
    std::string plain, prefixed;
    RespWriter(plain).words(words);
    RespWriter(prefixed, "p:").words(words);
    EXPECT_EQ(test::commands(prefixed), wanted);
    std::string as_it_is;
    for (const std::string_view word : words)
      as_it_is += (as_it_is.empty() ? "" : " ") + std::string(word);
    EXPECT_EQ(test::commands(plain), as_it_is);
  }
  std::string out;
  const std::string large(100, 'x');
  RespWriter(out, "p:").key(large);
  EXPECT_EQ(out, "$102\r\np:" + large + "\r\n");
}

TEST(KeyPrefix, IsTakenAwayFromTheKeysOfAReply) {
  const auto text = [](std::string_view bytes) { return Reply(Reply::Kind::string, bytes); };
  Reply keys[] = {text("p:a"), text("q:a"), text("p:")};
  Reply page[] = {text("7"), Reply(keys)};
  strip_prefix(Reply(page), wire::KeysInReply::page, "p:");
  EXPECT_EQ(keys[0].string(), "a");
  EXPECT_FALSE(keys[1]) << "another cell's, which was not asked for";
  EXPECT_TRUE(keys[2].is_string() && keys[2].text().empty());
  EXPECT_EQ(page[0].text(), "7");

  Reply entries[] = {text("p:1-0")};
  Reply stream[] = {text("p:s"), Reply(entries)};
  Reply streams[] = {Reply(stream), text("p:no stream")};
  strip_prefix(Reply(streams), wire::KeysInReply::streams, "p:");
  EXPECT_EQ(stream[0].string(), "s");
  EXPECT_EQ(entries[0].string(), "p:1-0");
  EXPECT_EQ(streams[1].string(), "p:no stream");
  // No answer of that form.
  strip_prefix(Reply(Reply::Kind::error, "ERR no"), wire::KeysInReply::page, "p:");
  strip_prefix(Reply::nil(), wire::KeysInReply::streams, "p:");

  EXPECT_EQ(without_prefix("p:", "p:"), "");
  EXPECT_EQ(without_prefix("", ""), "");
  EXPECT_FALSE(without_prefix("q:a", "p:").has_value());
}

// --- the bounds of a reply ---

struct Gauged {
  std::string passed;
  void pass(std::string_view bytes) { passed += bytes; }
};

// The fault, or nothing.
std::string fault_of(std::string_view bytes, size_t max_reply = 10'000) {
  Gauged gauged;
  ReplyGauge gauge(max_reply);
  (void)gauge.feed(bytes, Delegate<void(std::string_view)>::to<&Gauged::pass>(&gauged));
  if (gauge.fault() == nullptr) {
    EXPECT_EQ(gauged.passed, bytes);
  }
  return gauge.fault() == nullptr ? "" : gauge.fault();
}

constexpr const char* kTooLong = "a reply is longer than redis.max_reply allows";

TEST(ReplyGauge, CountsTheBytesOfAReplyUpToItsLimit) {
  // "$90\r\n" and the text; the end of its line comes free.
  const std::string bulk = "$90\r\n" + std::string(90, 'x') + "\r\n";
  EXPECT_EQ(fault_of(bulk, 95), "");
  EXPECT_EQ(fault_of(bulk, 94), kTooLong);
  EXPECT_EQ(fault_of(bulk + bulk, 95), "") << "each reply by itself";
  EXPECT_EQ(fault_of("+OK\r\n", 5), "");
  EXPECT_EQ(fault_of("+OK\r\n", 4), kTooLong);
  EXPECT_EQ(fault_of(":1\r\n", 4), "");
  EXPECT_EQ(fault_of("$100\r\n", 99), kTooLong) << "announced is enough";
}

TEST(ReplyGauge, CountsElementsAndLevels) {
  EXPECT_EQ(fault_of("*65536\r\n", 1 << 30), "");
  EXPECT_EQ(fault_of("*65537\r\n", 1 << 30), "a reply of more than 65536 elements");
  std::string nested;
  for (size_t i = 0; i < ReplyGauge::kMaxDepth; ++i) nested += "*1\r\n";
  EXPECT_EQ(fault_of(nested + ":1\r\n"), "");
  EXPECT_EQ(fault_of(nested + "*1\r\n"), "a reply that is nested too deep");
  EXPECT_EQ(fault_of("*0\r\n*-1\r\n$-1\r\n$0\r\n\r\n:-5\r\n"), "");
}

TEST(ReplyGauge, KnowsWhatIsNoProtocol) {
  for (const char* wrong :
       {"x", "\r\n", "(1\r\n", "%1\r\n", ":x\r\n", ":\r\n", "$-2\r\n", "*-2\r\n", "$1x\r\n",
        ":12345678901234567890123456789012345678901\r\n"}) {
    EXPECT_EQ(fault_of(wrong), "a reply that is not RESP2") << wrong;
  }
}

TEST(ReplyGauge, TellsWhenSomethingIsWhole) {
  Gauged gauged;
  ReplyGauge gauge(1000);
  const auto feed = [&](std::string_view bytes) {
    EXPECT_TRUE(gauge.feed(bytes, Delegate<void(std::string_view)>::to<&Gauged::pass>(&gauged)));
    return gauge.worth_parsing();
  };
  EXPECT_FALSE(feed("*2\r\n$3\r\nab"));
  EXPECT_EQ(gauge.whole_replies(), 0u);
  EXPECT_TRUE(feed("c\r\n")) << "an element";
  EXPECT_FALSE(feed(":"));
  EXPECT_TRUE(feed("1\r\n+O"));
  EXPECT_EQ(gauge.whole_replies(), 1u);
  EXPECT_TRUE(gauge.worth_parsing()) << "as long as it was not taken";
  gauge.taken();
  EXPECT_EQ(gauge.whole_replies(), 0u);
  EXPECT_FALSE(gauge.worth_parsing());
  EXPECT_TRUE(feed("K\r\n+OK\r\n"));
  EXPECT_EQ(gauge.whole_replies(), 2u);
}

TEST(ReplyGauge, ALineMayHave4MiB) {
  const std::string longest(ReplyGauge::kMaxLine - 3, 'x');
  Gauged gauged;
  const auto pass = Delegate<void(std::string_view)>::to<&Gauged::pass>(&gauged);
  ReplyGauge fits(64 << 20);
  EXPECT_TRUE(fits.feed("+" + longest + "\r\n", pass));
  EXPECT_EQ(gauged.passed.size(), ReplyGauge::kKeptLine + 2) << "its beginning, and its end";
  ReplyGauge too_long(64 << 20);
  EXPECT_FALSE(too_long.feed("+x" + longest + "\r\n", pass));
  EXPECT_EQ(too_long.limit().of, ReplyLimit::Of::bytes);
}

TEST(ReplyGauge, OfALongLineItHandsOnTheBeginningAndTheEnd) {
  for (const size_t size :
       {ReplyGauge::kKeptLine - 1, ReplyGauge::kKeptLine, ReplyGauge::kKeptLine + 1,
        ReplyGauge::kKeptLine + 2, ReplyGauge::kKeptLine + 3, 2 * ReplyGauge::kKeptLine}) {
    const std::string line = "+" + std::string(size - 3, 'x') + "\r\n";
    const std::string kept =
        size <= ReplyGauge::kKeptLine + 2 ? line : line.substr(0, ReplyGauge::kKeptLine) + "\r\n";
    for (const size_t piece : {size_t{1}, size_t{100}, size}) {
      Gauged gauged;
      ReplyGauge gauge(1 << 20);
      for (size_t at = 0; at < size; at += piece) {
        ASSERT_TRUE(gauge.feed(std::string_view(line).substr(at, piece),
                               Delegate<void(std::string_view)>::to<&Gauged::pass>(&gauged)));
      }
      EXPECT_EQ(gauged.passed, kept) << size << " in pieces of " << piece;
      EXPECT_EQ(gauge.whole_replies(), 1u);
    }
  }
}

TEST(ReplyArena, KeepsItsFirstSmallBlockOnly) {
  ReplyArena arena;
  void* const first = arena.take(8);
  for (const size_t size : {64u, 4096u, 1u << 20}) {
    for (int i = 0; i < 10; ++i) (void)arena.take(size);
    arena.reset();
    const long before = test::allocations;
    EXPECT_EQ(arena.take(4096), first) << size;
    EXPECT_EQ(test::allocations, before) << size;
  }
}

// --- the greeting ---

TEST(Greeting, ARefusalMeansWhatItsStepSays) {
  const struct {
    const char* error;
    Trouble auth, name, select, ping;
  } cases[] = {
      {"WRONGPASS no", Trouble::wrong_password, Trouble::none, Trouble::wrong_password,
       Trouble::wrong_password},
      {"DENIED no", Trouble::not_admitted, Trouble::not_admitted, Trouble::not_admitted,
       Trouble::not_admitted},
      {"LOADING wait", Trouble::loading, Trouble::none, Trouble::loading, Trouble::loading},
      {"ERR unknown command 'X'", Trouble::wrong_password, Trouble::none, Trouble::no_database,
       Trouble::server_error},
      {"ERR invalid password", Trouble::wrong_password, Trouble::none, Trouble::server_error,
       Trouble::server_error},
      {"ERR Client sent AUTH, but none", Trouble::wrong_password, Trouble::none,
       Trouble::server_error, Trouble::server_error},
      {"ERR invalid DB index", Trouble::server_error, Trouble::none, Trouble::no_database,
       Trouble::server_error},
      {"ERR SELECT is not allowed", Trouble::server_error, Trouble::none, Trouble::no_database,
       Trouble::server_error},
      {"ERR upstream failure", Trouble::server_error, Trouble::none, Trouble::server_error,
       Trouble::server_error},
      {"upstream password failure", Trouble::server_error, Trouble::none, Trouble::server_error,
       Trouble::server_error},
      {"WRONGTYPE no", Trouble::server_error, Trouble::none, Trouble::server_error,
       Trouble::server_error},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(greeting_trouble(GreetingStep::auth, c.error), c.auth) << c.error;
    EXPECT_EQ(greeting_trouble(GreetingStep::client_name, c.error), c.name) << c.error;
    EXPECT_EQ(greeting_trouble(GreetingStep::select, c.error), c.select) << c.error;
    EXPECT_EQ(greeting_trouble(GreetingStep::ping, c.error), c.ping) << c.error;
  }
}

TEST(Trouble, SomeCausesWantAPerson) {
  for (const Trouble passes : {Trouble::unreachable, Trouble::silent, Trouble::closed,
                               Trouble::loading, Trouble::master_down, Trouble::busy}) {
    EXPECT_FALSE(needs_a_person(passes)) << name(passes);
  }
  for (const Trouble stays :
       {Trouble::wrong_password, Trouble::no_permission, Trouble::no_database}) {
    EXPECT_TRUE(needs_a_person(stays)) << name(stays);
  }
}

TEST(Trouble, EachCodeIsItsOwn) {
  EXPECT_EQ(classify("DENIED Redis is running in protected mode"), Trouble::not_admitted);
  EXPECT_EQ(classify("MISCONF no disk"), Trouble::not_saving);
  EXPECT_EQ(classify("BUSY script"), Trouble::busy);
  EXPECT_EQ(classify("CLUSTERDOWN x"), Trouble::cluster_down);
  EXPECT_EQ(classify("TRYAGAIN x"), Trouble::cluster_down);
  EXPECT_EQ(classify("NOREPLICAS x"), Trouble::no_replicas);
  EXPECT_EQ(classify("OOM"), Trouble::out_of_memory) << "the code alone is enough";
  EXPECT_EQ(without_arguments("ERR unknown command 'A', with args beginning with: 's3cret'"),
            "ERR unknown command 'A'");
  EXPECT_EQ(without_arguments("ERR x"), "ERR x");
}

// --- echoes ---

TEST(EchoFilter, HoldsTheLast4096Sendings) {
  EchoFilter filter;
  const MonoTime now{1000s};
  for (int i = 0; i < 4097; ++i) filter.sent("c", std::to_string(i), now);
  EXPECT_FALSE(filter.is_echo("c", "0", now, "")) << "the first has given way";
  for (int i = 1; i < 4097; ++i) ASSERT_TRUE(filter.is_echo("c", std::to_string(i), now, "")) << i;
  for (int i = 1; i < 4097; ++i) ASSERT_FALSE(filter.is_echo("c", std::to_string(i), now, "")) << i;
}

TEST(EchoFilter, RemembersForThirtySecondsToTheEnd) {
  EchoFilter filter;
  const MonoTime now{1000s};
  filter.sent("c", "m", now);
  EXPECT_TRUE(filter.is_echo("c", "m", now + 30s, ""));
  filter.sent("c", "n", now);
  EXPECT_FALSE(filter.is_echo("c", "n", now + 30s + 1ns, ""));
}

TEST(EchoFilter, TellsTextsApartByEachByte) {
  EchoFilter filter;
  const MonoTime now{1000s};
  for (size_t size = 0; size < 20; ++size) {
    const std::string text(size, 'x');
    filter.sent("c", text, now);
    EXPECT_FALSE(filter.is_echo("c", text + "x", now, "")) << size;
    EXPECT_FALSE(filter.is_echo("c", text + '\0', now, "")) << size;
    for (size_t i = 0; i < size; ++i) {
      std::string other = text;
      other[i] = 'y';
      EXPECT_FALSE(filter.is_echo("c", other, now, "")) << size << " " << i;
    }
    EXPECT_TRUE(filter.is_echo("c", text, now, "")) << size;
  }
}

TEST(EchoFilter, WhatCameBackBeforeTheFirstSendingWasForgottenIsNotCountedAgain) {
  EchoFilter filter;
  const MonoTime now{1000s};
  filter.sent("c", "m", now);
  filter.sent("c", "m", now + 20s);
  EXPECT_TRUE(filter.is_echo("c", "m", now + 21s, ""));
  // The first one is forgotten, the copy of the second is still to come.
  EXPECT_TRUE(filter.is_echo("c", "m", now + 40s, ""));
  EXPECT_FALSE(filter.is_echo("c", "m", now + 40s, ""));
  EXPECT_TRUE(filter.is_echo("c", "m", now + 40s, "by a way that is new"));
  EXPECT_FALSE(filter.is_echo("c", "m", now + 40s, "by a way that is new"));
}

}  // namespace
}  // namespace nb::redis
