// Unit tests of cell/session: what it asks the script, and what it makes of the answers.
#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cell/session.h"
#include "json/guard.h"
#include "redis/plain_transport.h"
#include "rpc/dispatcher.h"
#include "support/fake_redis.h"
#include "support/test_loop.h"

namespace nb::cell {
namespace {

using namespace std::chrono_literals;
using test::FakeRedis;
using test::TestLoop;

std::string words_of(const rpc::Error& error) {
  return std::string(rpc::name_of(error.code)) + " " + error.data;
}

// Keeps what is said under the token of the call, or the method of a notification.
class FakeFront final : public rpc::FrontEnd {
 public:
  bool answer(rpc::Token token, std::string_view result) override {
    said[std::to_string(token)].push_back(std::string(result));
    return token != 0;
  }
  bool refuse(rpc::Token token, const rpc::Error& error) override {
    said[std::to_string(token)].push_back(words_of(error));
    return token != 0;
  }
  void report(rpc::ClientId, std::string_view method, const rpc::Error& error) override {
    said[std::string(method)].push_back(words_of(error));
  }
  bool notify_if_room(rpc::ClientId, std::string_view) override { return true; }
  bool notify(rpc::ClientId, std::string_view) override { return true; }
  void notify_gap(rpc::ClientId, WallTime, WallTime) override {}
  void pause_reading(rpc::ClientId, bool) override {}
  size_t max_line_bytes(rpc::ClientId) const override { return rpc::kLineBytes; }
  size_t queued_bytes(rpc::ClientId) const override { return 0; }
  size_t queued_bytes() const override { return 0; }

  std::map<std::string, std::vector<std::string>> said;
  size_t weight = 0;  // of the latest call that was put off
};

class FakeReply final : public rpc::Reply {
 public:
  FakeReply(FakeFront& front, rpc::Token token) : front_(front), token_(token) {}
  void answer(std::string_view result) override { front_.answer(token_, result); }
  void refuse(const rpc::Error& error) override { front_.refuse(token_, error); }
  rpc::Token put_off(size_t weight) override {
    front_.weight = weight;
    return token_;
  }
  bool is_wanted() const override { return token_ != 0; }

 private:
  FakeFront& front_;
  rpc::Token token_;
};

std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

class SessionTest : public testing::Test {
 protected:
  SessionTest() {
    ::signal(SIGPIPE, SIG_IGN);
    config_.socket.max_line = rpc::kLineBytes;
    config_.session = {100, true};
    config_.outbox.stream_bytes = 1 << 20;
    identity_.node = "ook";
    identity_.instance_id = "ook-1";
    redis::LinkOptions options;
    options.target = {"127.0.0.1", redis_.port(), ""};
    options.greeting = {"", "", "nodebeat:ook", {0}};
    options.command_timeout = 1h;
    options.connect_timeout = 5s;
    options.backoff = {1ms, 1ms, 1ms};
    link_.emplace(loop_.loop(), log_, outbox_, options, redis::LinkEvents{},
                  &redis::make_plain_transport);
    reader_.emplace(loop_.loop(), options, 0, &redis::make_plain_transport);
    operations_.emplace(loop_.loop(), front_, *reader_, *link_);
    scripts_.emplace(loop_.loop(), options, 0, redis::Script{"return 1", "0123"},
                     &redis::make_plain_transport);
    sessions_.emplace(loop_.loop(), front_, *operations_, *scripts_, identity_, config_,
                      Sessions::NameOf(nullptr, [](void*, rpc::ClientId) -> std::string_view {
                        return "robot";
                      }));
    dispatcher_.add(Sessions::kMethods, &*sessions_);
  }

  // Returns the token under which the front end is told; 0: a notification.
  rpc::Token call(std::string_view method, std::string params, bool is_request = true,
                  rpc::ClientId client = 7) {
    json::Guard guard;
    EXPECT_EQ(guard.check(params).reason, nullptr) << params;
    const rpc::Token token = is_request ? ++last_token_ : 0;
    FakeReply reply(front_, token);
    rpc::Call made({client, 1000}, reply, rpc::Call::Origin::client, loop_.loop().now());
    made.method = method;
    dispatcher_.dispatch(made, guard.view());
    return token;
  }
  void greet() {
    ASSERT_TRUE(loop_.run_until([&] { return redis_.accept(); }));
    ASSERT_TRUE(loop_.run_until([&] { return redis_.received_has("PING\r\n"); }));
    redis_.forget();
    redis_.send("+OK\r\n+OK\r\n+PONG\r\n");
  }
  void expect(const std::string& text) {
    EXPECT_TRUE(loop_.run_until([&] { return redis_.received_has(text); })) << text;
    redis_.forget();
  }
  std::string hears(rpc::Token token) { return hears(std::to_string(token)); }
  std::string hears(const std::string& whom) {
    EXPECT_TRUE(loop_.run_until([&] { return !front_.said[whom].empty(); })) << whom;
    const std::vector<std::string> heard = std::move(front_.said[whom]);
    front_.said[whom].clear();
    return heard.size() == 1 ? heard[0] : std::to_string(heard.size()) + " answers";
  }
  static std::string words(std::initializer_list<std::string_view> words) {
    std::string out;
    for (const std::string_view word : words) out += bulk(word);
    return out;
  }

  TestLoop loop_;
  Log log_;
  FakeRedis redis_;
  FakeFront front_;
  config::Config config_;
  node::Identity identity_;
  outbox::Outbox outbox_{{"ook", "ook-1", {}, {}}};
  std::optional<redis::Link> link_;
  std::optional<redis::Reader> reader_;
  std::optional<Operations> operations_;
  std::optional<redis::Scripts> scripts_;
  std::optional<Sessions> sessions_;
  rpc::Dispatcher dispatcher_;
  rpc::Token last_token_ = 0;
};

TEST_F(SessionTest, AnUpdateIsOneScriptWithTheCallersMembersDigitByDigit) {
  const auto token = call("session.update",
                          R"({"session_id":"a\"b","state":{"version":9,"x": 1.10,"created_at":1,)"
                          R"("y":["\\"],"updated_at":0,"session_id":0},"expected_version":4,)"
                          R"("ttl_ms":5000,"upsert":true})");
  greet();
  expect(words({"EVALSHA",
                "0123",
                "5",
                "session:a\"b",
                "nodebeat:sessions",
                "nodebeat:sessions:seals",
                "nodebeat:sessions:writes:ook:ook-1",
                "nodebeat:sessions:audit",
                "update",
                "1",
                "a\"b",
                R"("a\"b")",
                "5000",
                "4",
                "upsert state ",
                "",
                "",
                "",
                R"(,"x":1.10,"y":["\\"])",
                R"(,\"x\":1.10,\"y\":[\"\\\\\"])",
                "2097152",
                "100",
                "client",
                "robot",
                "uid",
                "1000",
                "node",
                "ook",
                "instance",
                "ook-1"}));
  redis_.send(bulk("ok 5"));
  EXPECT_EQ(hears(token), R"({"version":5})");
}

TEST_F(SessionTest, EachAnswerOfTheScriptHasItsAnswer) {
  const auto update = [&] {
    return call("session.update", R"({"session_id":"a","state":{},"expected_version":4})");
  };
  auto token = update();
  greet();
  const struct {
    std::string reply, answer;
  } kCases[] = {
      {bulk("conflict 7"), R"(conflict "expected":4,"actual":7)"},
      {bulk("not_found"), "not_found "},
      {bulk("wrong_type hash"), R"(wrong_type "type":"hash")"},
      {bulk("large 9999999"), R"(too_large "limit_bytes":2097152)"},
      {bulk("stale"), R"(in_doubt "redis":"stale")"},
      {bulk("ok"), R"(unavailable "link":"malformed")"},
      {bulk("conflict x"), R"(unavailable "link":"malformed")"},
      {bulk(""), R"(unavailable "link":"malformed")"},
      {":1\r\n", R"(unavailable "link":"malformed")"},
      {"*0\r\n", R"(unavailable "link":"malformed")"},
      {"-NOPERM no\r\n", R"(refused_by_redis "redis":"NOPERM no")"},
      {"-WRONGTYPE no\r\n", R"(refused_by_redis "redis":"WRONGTYPE no")"},
  };
  for (const auto& one : kCases) {
    expect("EVALSHA");
    redis_.send(one.reply);
    EXPECT_EQ(hears(token), one.answer) << one.reply;
    token = update();
  }
}

// Of three calls that are under way the second is not carried out: it is asked again under its
// number. Once its time is over, the answer says that nothing was done, and why.
TEST_F(SessionTest, WhatRedisCannotDoInTheMiddleOfAPipelineIsAskedAgainOrNotDone) {
  const struct {
    std::string error, link;
  } kCases[] = {
      {"BUSY Redis is busy running a script.", "the server is busy with a script"},
      {"OOM command not allowed when used memory > 'maxmemory'.", "the server is out of memory"},
      {"READONLY You can't write against a read only replica.",
       "the server is a read-only replica"},
  };
  const auto update = [&](rpc::ClientId client, const char* timeout = "60000") {
    return call("session.update",
                std::string(R"({"session_id":"a","state":{},"timeout_ms":)") + timeout + "}", true,
                client);
  };
  const auto numbered = [](int number) { return words({"update", std::to_string(number), "a"}); };
  int before = 0;
  for (const auto& one : kCases) {
    const rpc::Token first = update(7);
    const rpc::Token second = update(8);
    const rpc::Token third = update(9);
    greet();
    expect(numbered(before + 3));
    redis_.send(bulk("ok 1") + "-" + one.error + "\r\n" + bulk("ok 2"));
    EXPECT_EQ(hears(first), R"({"version":1})");
    EXPECT_EQ(hears(third), R"({"version":2})");
    greet();
    expect(numbered(before + 2));
    redis_.send(bulk("ok 3"));
    EXPECT_EQ(hears(second), R"({"version":3})");

    const rpc::Token late = update(7, "1000");
    expect(numbered(before + 4));
    redis_.send("-" + one.error + "\r\n");
    EXPECT_EQ(hears(late), "unavailable \"link\":\"" + one.link + " (" + one.error + ")\"");
    redis_.close();
    before += 4;
  }
}

TEST_F(SessionTest, AScriptThatIsGoneInTheMiddleOfAPipelineIsLoadedAndAskedAgain) {
  const char kUpdate[] = R"({"session_id":"a","state":{}})";
  const rpc::Token first = call("session.update", kUpdate, true, 7);
  const rpc::Token second = call("session.update", kUpdate, true, 8);
  const rpc::Token third = call("session.update", kUpdate, true, 9);
  greet();
  expect(words({"update", "3", "a"}));
  redis_.send(bulk("ok 1") + "-NOSCRIPT No matching script.\r\n" + bulk("ok 2"));
  EXPECT_EQ(hears(first), R"({"version":1})");
  EXPECT_EQ(hears(third), R"({"version":2})");
  expect(words({"SCRIPT", "LOAD", "return 1"}) + "*30\r\n");
  redis_.send(bulk("0123") + bulk("ok 3"));
  EXPECT_EQ(hears(second), R"({"version":3})");
}

// Or the older state would stay: what Redis cannot carry out just then comes later.
TEST_F(SessionTest, AClientsCallsKeepTheirOrder) {
  const auto update = [&](const char* state) {
    call("session.update", std::string(R"({"session_id":"a","state":)") + state + "}", false);
  };
  update(R"({"n":1})");
  update(R"({"n":2})");
  greet();
  expect(words({"update", "1"}));
  redis_.send("-BUSY Redis is busy running a script.\r\n");
  greet();
  expect(words({"update", "1"}));
  redis_.send(bulk("ok 1"));
  expect(words({"update", "2"}));
}

TEST_F(SessionTest, WhatAnotherProgramWroteIsReadAndHandedBack) {
  const auto token = call("session.update", R"({"session_id":"a","state":{"y":1}})");
  greet();
  expect("EVALSHA");
  const std::string text = R"({"x": 1,"version":6,"created_at":"2020"})";
  redis_.send("*2\r\n" + bulk("foreign") + bulk(text));
  expect(words({"update", "2", "a", R"("a")", "3600000", "", "state read", text, "6", R"("2020")",
                R"(,"y":1)"}));
  redis_.send(bulk("foreign"));  // as the script says to a write that it has seen before
  expect(words({"update", "3"}));
  redis_.send(bulk("ok 7"));
  EXPECT_EQ(hears(token), R"({"version":7})");
}

TEST_F(SessionTest, OnlyReplaceCorruptOverwritesWhatIsNoSession) {
  auto token = call("session.delete", R"({"session_id":"a"})");
  greet();
  for (const char* text : {"", "[]", "{", R"({"version":-1})", R"({"version":9007199254740991})"}) {
    expect("EVALSHA");
    redis_.send("*2\r\n" + bulk("foreign") + bulk(text));
    const std::string said = hears(token);
    EXPECT_EQ(said.find("corrupt \"stored_bytes\":"), 0u) << said;
    token = call("session.delete", R"({"session_id":"a"})");
  }
  expect("EVALSHA");
  redis_.send(bulk("ok 1"));
  hears(token);
  token = call("session.delete", R"({"session_id":"a","replace_corrupt":true})");
  expect("EVALSHA");
  redis_.send("*2\r\n" + bulk("foreign") + bulk("[]"));
  expect(words({"state read", "[]", "", ""}));
  redis_.send(bulk("ok 0"));
  EXPECT_EQ(hears(token), R"({"version":null})");
}

TEST_F(SessionTest, AGetReturnsTheTextAsItStands) {
  auto token = call("session.get", R"({"session_id":"a"})");
  greet();
  expect(words({"1", "session:a", "get", "2097152"}));
  redis_.send("*2\r\n" + bulk(R"({"version":3, "x":1.0})") + ":-1\r\n");
  EXPECT_EQ(hears(token), R"({"version":3,"ttl_ms":null,"state":{"version":3,"x":1.0}})");
  token = call("session.get", R"({"session_id":"a"})");
  expect("EVALSHA");
  redis_.send("*2\r\n$-1\r\n:-2\r\n");
  EXPECT_EQ(hears(token), "not_found ");
  token = call("session.get", R"({"session_id":"a"})");
  expect("EVALSHA");
  redis_.send("*2\r\n" + bulk(R"({"version":3,"x":")" + std::string(rpc::kLineBytes, 'x') + "\"}") +
              ":1\r\n");
  EXPECT_EQ(hears(token).find("too_large"), 0u);
}

TEST_F(SessionTest, AListIsAPageOfTheIndexAndALookAtItsSessions) {
  const auto token = call("session.list", R"({"limit":3,"cursor":"5:a:b"})");
  greet();
  expect(words({"1", "nodebeat:sessions", "page", "5", "a:b", "3"}));
  redis_.send("*6\r\n" + bulk("c") + bulk("6") + bulk("d") + bulk("7") + bulk("e") + bulk("8"));
  expect(words({"4", "nodebeat:sessions:seals", "session:c", "session:d", "session:e", "look",
                "2097152", "c", "d", "e"}));
  redis_.send("*3\r\n*3\r\n" + bulk("4") + bulk("\"T\"") + ":10\r\n*3\r\n" + bulk("") + bulk("") +
              ":-2\r\n*3\r\n" + bulk("") + bulk("") + ":-1\r\n");
  EXPECT_EQ(
      hears(token),
      R"({"sessions":[{"session_id":"c","version":4,"updated_at":"T","ttl_ms":10},)"
      R"({"session_id":"e","version":null,"updated_at":null,"ttl_ms":null}],"cursor":"8:e"})");
}

TEST_F(SessionTest, ATimeThatIsNoJsonTextGoesIntoNoAnswer) {
  for (const char* time : {"", "T", "7", "\"T\",\"x\":\"\""}) {
    const auto token = call("session.list", R"({"limit":1})");
    if (*time == '\0') greet();
    expect(words({"1", "nodebeat:sessions", "page"}));
    redis_.send("*2\r\n" + bulk("c") + bulk("6"));
    expect(words({"2", "nodebeat:sessions:seals", "session:c", "look"}));
    redis_.send("*1\r\n*3\r\n" + bulk("4") + bulk(time) + ":10\r\n");
    EXPECT_EQ(hears(token), R"(unavailable "link":"malformed")") << time;
  }
}

TEST_F(SessionTest, ANotificationIsCarriedOutAndItsRefusalReported) {
  call("session.create", R"({"session_id":"a"})", false);
  call("session.get", R"({"session_id":"a"})", false);  // nobody wants to know
  greet();
  expect(words({"create", "1", "a"}));
  redis_.send(bulk("conflict 2"));
  EXPECT_EQ(hears("session.create"), R"(conflict "actual":2)");
  EXPECT_EQ(scripts_->waiting(), 0u);
}

TEST_F(SessionTest, NotificationsThatWaitAreBounded) {
  for (int i = 0; i < 64; ++i) call("session.touch", R"({"session_id":"a"})", false);
  EXPECT_TRUE(front_.said["session.touch"].empty());
  call("session.touch", R"({"session_id":"a"})", false);
  EXPECT_EQ(hears("session.touch"), R"(queue_full "limit":64)");
}

TEST_F(SessionTest, NotificationsThatWaitHaveSoManyBytes) {
  const std::string state = R"({"x":")" + std::string(40000, 'x') + "\"}";
  const std::string update = R"({"session_id":"a","state":)" + state + "}";
  call("session.update", update, false);
  EXPECT_TRUE(front_.said["session.update"].empty());
  call("session.update", update, false);
  EXPECT_EQ(hears("session.update"), R"(queue_full "limit_bytes":65536)");
  call("session.touch", R"({"session_id":"a"})", false);
  call("session.update", update, false, 8);
  EXPECT_EQ(scripts_->waiting(), 3u);
}

// A client's notifications leave room for what others call.
TEST_F(SessionTest, WhileManyNotificationsWaitEachClientMayHaveAFew) {
  rpc::ClientId client = 100;
  for (; scripts_->waiting() < 512; ++client) {
    for (int i = 0; i < 64; ++i) call("session.touch", R"({"session_id":"a"})", false, client);
  }
  EXPECT_TRUE(front_.said["session.touch"].empty());
  for (int i = 0; i < 4; ++i) call("session.touch", R"({"session_id":"a"})", false, client);
  EXPECT_TRUE(front_.said["session.touch"].empty());
  call("session.touch", R"({"session_id":"a"})", false, client);
  EXPECT_EQ(hears("session.touch"), R"(queue_full "limit":4)");
  const auto token = call("session.touch", R"({"session_id":"a"})");
  EXPECT_TRUE(front_.said[std::to_string(token)].empty());
}

TEST_F(SessionTest, ALongStateCountsAsAllThatAClientMayHaveUnderWay) {
  call("session.touch", R"({"session_id":"a"})");
  EXPECT_EQ(front_.weight, Operations::kWeight);
  const std::string text = '"' + std::string(20000, 'x') + '"';
  call("session.update", R"({"session_id":"a","state":{"x":)" + text + "}}");
  EXPECT_EQ(front_.weight, rpc::kWaitingCalls);
  call("session.touch", R"({"session_id":"a"})");
  call("session.broadcast", R"({"session_id":"a","message":)" + text + "}");
  EXPECT_EQ(front_.weight, rpc::kWaitingCalls);
}

TEST_F(SessionTest, WhatAClientAskedEndsWithIt) {
  const auto token = call("session.touch", R"({"session_id":"a"})");
  sessions_->on_client_closed(7);
  EXPECT_EQ(scripts_->waiting(), 0u);
  EXPECT_TRUE(front_.said[std::to_string(token)].empty());
}

TEST_F(SessionTest, TimeEndsACallAndSaysWhatIsKnown) {
  EXPECT_EQ(
      hears(call("session.touch", R"({"session_id":"a","timeout_ms":1})")).find("unavailable"), 0u);
  const auto token = call("session.touch", R"({"session_id":"a","timeout_ms":100})");
  greet();
  expect("EVALSHA");
  EXPECT_EQ(hears(token).find("in_doubt"), 0u);
}

TEST_F(SessionTest, LargeEntriesMakeTheAuditShorter) {
  config_.session.audit_length = 1000000;
  config_.outbox.stream_bytes = 1 << 20;
  const std::string state = R"({"x":")" + std::string(16384 - 256, 'x') + "\"}";
  call("session.update", R"({"session_id":"a","state":)" + state + "}");
  greet();
  expect(words({"2097152", "63", "client"}));
}

TEST_F(SessionTest, AStateThatFitsIntoNoAnswerIsRefused) {
  const std::string state = R"({"x":")" + std::string(rpc::kLineBytes, 'x') + "\"}";
  EXPECT_EQ(hears(call("session.update", R"({"session_id":"a","state":)" + state + "}"))
                .find("too_large"),
            0u);
  EXPECT_EQ(scripts_->waiting(), 0u);
}

}  // namespace
}  // namespace nb::cell
