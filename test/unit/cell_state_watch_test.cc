// Unit tests of cell/state_watch and redis/key_changes: state.watch over a scripted Redis.
// test/integration/test_state_watch.py has the real one.
#include "cell/state_watch.h"
#include "unit/cell_fixture.h"

namespace nb::cell {
namespace {

using test::array_of;
using test::bulk;

std::string page(const std::vector<std::string>& keys, const std::string& cursor = "0") {
  return "*2\r\n" + bulk(cursor) + array_of(keys);
}

class CellStateWatch : public CellTest {
 protected:
  CellStateWatch() {
    store.answer("SCAN", page({}));
    connect();
    store.forget();
  }
  // What Redis has under a key; nothing: there is none.
  void has(const std::string& key, std::optional<std::string> value) {
    store.answer("GETRANGE " + key + " 0 65536", bulk(value.value_or("")));
    store.answer("GET " + key, value ? bulk(*value) : "$-1\r\n");
  }
  void changes(const std::string& key, std::optional<std::string> value) {
    has(key, std::move(value));
    store.invalidate(array_of({key}));
  }
  // The next thing that the clients hear, without what all have.
  std::string next() {
    run_until([&] { return heard_ < front.heard.size(); });
    std::string line = front.heard[heard_++];
    const size_t method = line.find("state.");
    EXPECT_EQ(line.substr(0, method), "7: {\"jsonrpc\":\"2.0\",\"method\":\"");
    line = line.substr(method + 6);
    line.replace(line.find("\",\"params\":"), 11, " ");
    line.pop_back();
    return line;
  }
  void watch(const std::string& params) { EXPECT_EQ(finally("state.watch", params), "{}"); }
  // Nothing more is told: what comes next is what is changed now.
  void expect_nothing_more(const std::string& key = "k") {
    changes(key, "\"end\"");
    EXPECT_EQ(next(), "change {\"key\":\"" + key + R"(","value":"end","source":"redis"})");
    EXPECT_EQ(heard_, front.heard.size());
  }

  size_t heard_ = 0;
};

TEST_F(CellStateWatch, ChangesAreAskedForBeforeTheSnapshotIsRead) {
  has("k", "1");
  store.answer("SCAN 0 MATCH p\\[:* COUNT 250", page({"p[:b"}, "7"));
  store.answer("SCAN 7 MATCH p\\[:* COUNT 250", page({"p[:a", "p[:b", "other", "p[:gone"}));
  has("p[:a", "{ \"x\": 1.50 }");
  has("p[:b", "text");
  has("p[:gone", std::nullopt);
  watch(R"({"keys":["k"],"prefixes":["p[:"]})");
  EXPECT_EQ(next(), R"(change {"key":"k","value":1,"source":"redis"})");
  EXPECT_EQ(next(), R"(change {"key":"p[:b","value":"text","source":"redis"})");
  EXPECT_EQ(next(), R"(change {"key":"p[:a","value":{"x":1.50},"source":"redis"})");
  EXPECT_EQ(next(), R"(ready {"keys":3})");
  const std::vector<std::string> first(store.commands().begin(), store.commands().begin() + 6);
  EXPECT_EQ(first, (std::vector<std::string>{
                       "CLIENT ID", "UNSUBSCRIBE __redis__:invalidate", "CLIENT TRACKING OFF",
                       "CLIENT TRACKING ON REDIRECT 7 BCAST PREFIX p[: PREFIX k",
                       "SUBSCRIBE __redis__:invalidate", "SCAN 0 MATCH p\\[:* COUNT 250"}));
  expect_nothing_more();
}

TEST_F(CellStateWatch, OnlyWhatDiffersIsAChange) {
  has("k", "1");
  watch(R"({"keys":["k"]})");
  EXPECT_EQ(next(), R"(change {"key":"k","value":1,"source":"redis"})");
  EXPECT_EQ(next(), R"(ready {"keys":1})");
  changes("k", "1");
  changes("k2", "2");
  changes("k", "2");
  EXPECT_EQ(next(), R"(change {"key":"k","value":2,"source":"redis"})");
  changes("k", std::nullopt);
  EXPECT_EQ(next(), R"(change {"key":"k","deleted":true,"source":"redis"})");
  changes("k", "");
  EXPECT_EQ(next(), R"(change {"key":"k","value":"","source":"redis"})");
  expect_nothing_more();
}

TEST_F(CellStateWatch, OwnClientsValuesComeAtOnceAndNotASecondTime) {
  has("k", std::nullopt);
  watch(R"({"keys":["k"]})");
  EXPECT_EQ(next(), R"(change {"key":"k","deleted":true,"source":"redis"})");
  EXPECT_EQ(next(), R"(ready {"keys":1})");
  call("state.set", R"({"key":"k","value":{"a": 1}})", 8);
  EXPECT_EQ(front.heard.size(), 3u) << "at once";
  EXPECT_EQ(next(), R"(change {"key":"k","value":{"a":1},"source":"agent"})");
  settle();
  changes("k", "{\"a\":1}");
  call("state.delete", R"({"key":"k"})");
  EXPECT_EQ(next(), R"(change {"key":"k","deleted":true,"source":"agent"})");
  will("state.set", R"({"key":"k","value":2})");
  EXPECT_EQ(next(), R"(change {"key":"k","value":2,"source":"agent"})");
  check_will("state.set", R"({"key":"k","value":3})");
  settle();
  expect_nothing_more();
}

TEST_F(CellStateWatch, WhatWasReadBeforeAnOwnValueDoesNotGoOverIt) {
  has("k", "1");
  watch(R"({"keys":["k"]})");
  EXPECT_EQ(next(), R"(change {"key":"k","value":1,"source":"redis"})");
  EXPECT_EQ(next(), R"(ready {"keys":1})");
  store.answer("GETRANGE k 0 65536", bulk("2"));
  store.invalidate(array_of({"k"}));  // it is asked, and not answered yet
  call("state.set", R"({"key":"k","value":3})");
  EXPECT_EQ(next(), R"(change {"key":"k","value":3,"source":"agent"})");
  settle();
  has("k", "3");
  expect_nothing_more();
}

// Another program writes the key behind this agent's value, and the server tells of it before it
// has answered the agent. It tells of it once.
TEST_F(CellStateWatch, AChangeThatIsToldBeforeTheOwnValueIsConfirmedIsNotLost) {
  has("k", "1");
  has("p:a", "1");
  store.answer("SCAN", page({"p:a"}));
  watch(R"({"keys":["k"],"prefixes":["p:"]})");
  for (int i = 0; i < 3; ++i) next();
  call("state.set", R"({"key":"k","value":4})");
  EXPECT_EQ(next(), R"(change {"key":"k","value":4,"source":"agent"})");
  call("state.delete", R"({"key":"p:a"})");
  EXPECT_EQ(next(), R"(change {"key":"p:a","deleted":true,"source":"agent"})");
  changes("k", "2");
  changes("p:a", "3");
  const std::string_view behind[] = {"ECHO", "x"};
  reader->ask(behind, {});
  run_until([&] { return store.count("ECHO") == 1; });
  EXPECT_EQ(heard_, front.heard.size()) << "the values that wait are newer, as far as is known";
  settle();
  EXPECT_EQ(next(), R"(change {"key":"k","value":2,"source":"redis"})");
  EXPECT_EQ(next(), R"(change {"key":"p:a","value":3,"source":"redis"})");
  expect_nothing_more();
}

TEST_F(CellStateWatch, AClientWithoutRoomGetsTheLatestValueWhenItHasRoom) {
  has("k", "1");
  watch(R"({"keys":["k"]})");
  EXPECT_EQ(next(), R"(change {"key":"k","value":1,"source":"redis"})");
  EXPECT_EQ(next(), R"(ready {"keys":1})");
  front.room = 0;
  call("state.set", R"({"key":"k","value":2})");
  settle();
  changes("k", "3");
  run_until([&] { return store.count("GETRANGE") >= 3; });
  front.queued = 1'000'000;
  front.room = 1'000'000;
  changes("k", "4");
  const auto asked = store.count("GETRANGE");
  changes("k", "5");
  const std::string_view behind[] = {"ECHO", "x"};
  reader->ask(behind, {});
  run_until([&] { return store.count("ECHO") == 1; });
  EXPECT_EQ(store.count("GETRANGE"), asked) << "nothing is read for a client that does not read";
  front.queued = 0;
  EXPECT_EQ(next(), R"(change {"key":"k","value":5,"source":"redis"})");
  expect_nothing_more();
}

TEST_F(CellStateWatch, WhatFindsNoRoomIsNotAskedForAgainAtOnce) {
  has("k", "1");
  watch(R"({"keys":["k"]})");
  next();
  next();
  front.room = 0;
  changes("k", "2");
  for (int i = 1; i <= 20; ++i) {
    const std::string_view behind[] = {"ECHO", "x"};
    reader->ask(behind, {});
    run_until([&] { return store.count("ECHO") == i; });
  }
  EXPECT_LT(store.count("GETRANGE"), 10);
  front.room = 1'000'000;
  EXPECT_EQ(next(), R"(change {"key":"k","value":2,"source":"redis"})");
}

TEST_F(CellStateWatch, AnOwnValueThatFindsNoRoomComesLaterWithRedisAway) {
  has("k", "1");
  watch(R"({"keys":["k"]})");
  next();
  next();
  lose_redis();
  EXPECT_EQ(next(), "stale {}");
  front.room = 0;
  call("state.set", R"({"key":"k","value":2})");
  front.room = 1'000'000;
  EXPECT_EQ(next(), R"(change {"key":"k","value":2,"source":"agent"})");
}

TEST_F(CellStateWatch, AfterAnOutageWhatDiffersIsTold) {
  has("a", "1");
  has("b", "1");
  has("k", "1");
  store.answer("SCAN", page({"a", "b", "k"}));
  watch(R"({"prefixes":["a","b","k"]})");
  for (int i = 0; i < 3; ++i) next();
  EXPECT_EQ(next(), R"(ready {"keys":3})");
  lose_redis();
  EXPECT_EQ(next(), "stale {}");
  call("state.set", R"({"key":"k","value":2})");
  EXPECT_EQ(next(), R"(change {"key":"k","value":2,"source":"agent"})");
  has("a", std::nullopt);
  has("b", "5");
  has("bb", "6");
  has("k", "2");
  store.answer("SCAN", page({"b", "bb", "k"}));
  store.come_back();
  std::vector<std::string> told{next(), next(), next()};
  std::sort(told.begin(), told.end());
  EXPECT_EQ(told, (std::vector<std::string>{R"(change {"key":"a","deleted":true,"source":"redis"})",
                                            R"(change {"key":"b","value":5,"source":"redis"})",
                                            R"(change {"key":"bb","value":6,"source":"redis"})"}));
  EXPECT_EQ(next(), R"(ready {"keys":3})");
  expect_nothing_more();
}

TEST_F(CellStateWatch, AFlushIsABeginning) {
  has("k", "1");
  watch(R"({"keys":["k"]})");
  EXPECT_EQ(next(), R"(change {"key":"k","value":1,"source":"redis"})");
  EXPECT_EQ(next(), R"(ready {"keys":1})");
  has("k", std::nullopt);
  store.invalidate("$-1\r\n");
  EXPECT_EQ(next(), R"(change {"key":"k","deleted":true,"source":"redis"})");
  expect_nothing_more();
}

TEST_F(CellStateWatch, AFlushAnswersNoCallBeforeChangesAreTold) {
  watch(R"({"keys":["k"]})");
  store.answer("CLIENT TRACKING OFF", "");
  EXPECT_EQ(call("state.watch", R"({"keys":["other"]})", 8), "(later)");
  const rpc::Token token = last_token;
  run_until([&] { return store.count("CLIENT TRACKING OFF") == 2; });
  store.invalidate("$-1\r\n");
  EXPECT_EQ(front.later[token], "");
}

TEST_F(CellStateWatch, WhatIsNoListOfKeysTellsNothing) {
  has("k", "1");
  watch(R"({"keys":["k"]})");
  next();
  next();
  for (const std::string& rubbish :
       {bulk("k"), bulk(""), std::string("*2\r\n:1\r\n$-1\r\n"), std::string("*-1\r\n"),
        array_of({std::string(10'000, 'k')}), std::string("*1\r\n*1\r\n$1\r\nk\r\n")}) {
    store.invalidate(rubbish);
  }
  expect_nothing_more();
  EXPECT_EQ(store.count("CLIENT ID"), 1);
}

TEST_F(CellStateWatch, AnAnswerOfAnotherFormEndsTheConnection) {
  for (const auto& [command, answer] : std::map<std::string, std::string>{
           {"CLIENT ID", "+OK\r\n"},
           {"CLIENT TRACKING OFF", "+QUEUED\r\n"},
           {"CLIENT TRACKING ON REDIRECT 7 BCAST PREFIX k", ":1\r\n"}}) {
    store.forget();
    store.answer(command, answer);
    EXPECT_EQ(call("state.watch", R"({"keys":["k"]})"), "(later)");
    const rpc::Token token = last_token;
    run_until([&] { return store.count("CLIENT ID") > 2; });
    EXPECT_EQ(front.later[token], "{}") << "it takes effect later";
    store.answer(command, command == "CLIENT ID" ? ":7\r\n" : "+OK\r\n");
    has("k", "1");
    EXPECT_EQ(next(), R"(change {"key":"k","value":1,"source":"redis"})");
    EXPECT_EQ(next(), R"(ready {"keys":1})");
    EXPECT_EQ(call("state.unwatch"), "{}");
  }
}

TEST_F(CellStateWatch, AServerThatDoesNotAllowItSaysSo) {
  store.answer("CLIENT ID", "-ERR unknown command 'CLIENT'\r\n");
  EXPECT_EQ(finally("state.watch", R"({"keys":["k"]})"),
            "refused_by_redis: Redis refused this: ERR unknown command 'CLIENT' "
            "{\"redis\":\"ERR unknown command 'CLIENT'\"}");
  store.answer("CLIENT ID", ":7\r\n");
  store.answer("CLIENT TRACKING ON REDIRECT 7 BCAST PREFIX k", "-NOPERM no\r\n");
  EXPECT_TRUE(finally("state.watch", R"({"keys":["k"]})").starts_with("refused_by_redis: "));
  EXPECT_FALSE(state_watch.has_watch(7));
  // In words that no list has; and what is no answer to this, but the state of the server.
  store.answer("CLIENT TRACKING ON REDIRECT 7 BCAST PREFIX k", "-ERR this server is too old\r\n");
  EXPECT_TRUE(finally("state.watch", R"({"keys":["k"]})").starts_with("refused_by_redis: "));
  store.answer("CLIENT TRACKING ON REDIRECT 7 BCAST PREFIX k", "-LOADING from disk\r\n");
  const auto connections = store.count("CLIENT ID");
  EXPECT_EQ(call("state.watch", R"({"keys":["k"]})"), "(later)");
  run_until([&] { return store.count("CLIENT ID") > connections; });
  EXPECT_TRUE(state_watch.has_watch(7));
  EXPECT_EQ(call("state.unwatch"), "{}");
  store.answer("CLIENT TRACKING ON REDIRECT 7 BCAST PREFIX k", "+OK\r\n");
  has("k", "1");
  watch(R"({"keys":["k"]})");
  EXPECT_EQ(next(), R"(change {"key":"k","value":1,"source":"redis"})");
}

TEST_F(CellStateWatch, WhatCannotBeReadIsNamed) {
  store.answer("SCAN", "-NOPERM no\r\n");
  store.answer("GETRANGE a 0 65536", "-WRONGTYPE a list\r\n");
  store.answer("GETRANGE b 0 65536", ":1\r\n");
  has("c", std::string(65'537, 'x'));
  has("d", std::string(65'000, '\x01'));
  watch(R"({"keys":["a","b","c","d","k"],"prefixes":["p"]})");
  const auto unreadable = [](const std::string& key, const std::string& why) {
    return "change {\"key\":\"" + key + "\",\"unreadable\":\"" + why + R"(","source":"redis"})";
  };
  EXPECT_EQ(next(), unreadable("a", "WRONGTYPE a list"));
  EXPECT_EQ(next(), unreadable("b", "malformed"));
  EXPECT_EQ(next(), unreadable("c", "too_large"));
  EXPECT_EQ(next(), unreadable("d", "too_large"));
  EXPECT_EQ(next(), R"(change {"key":"k","deleted":true,"source":"redis"})");
  EXPECT_EQ(next(), R"(ready {"keys":5,"left_out":true})");
  changes("d", std::string(65'000, '\x01'));
  changes("c", std::string(65'537, 'x'));
  EXPECT_EQ(next(), unreadable("c", "too_large")) << "what is behind its beginning is not known";
  expect_nothing_more();
}

TEST_F(CellStateWatch, TheRestOfManyKeysIsLeftOut) {
  std::vector<std::string> keys;
  for (int i = 0; i < 700; ++i)
    keys.push_back("k" + std::to_string(1000 + i) + std::string(95, 'x'));
  keys.push_back("k" + std::string(512, 'x'));
  store.answer("SCAN", page(keys));
  store.answer("GETRANGE", bulk("1"));
  watch(R"({"prefixes":["k"]})");
  const size_t room = StateWatch::kMostBytes / (100 + StateWatch::kKeyOverhead);
  for (size_t i = 0; i < room; ++i) EXPECT_TRUE(next().starts_with("change "));
  EXPECT_EQ(next(), "ready {\"keys\":" + std::to_string(room) + ",\"left_out\":true}");
  store.invalidate(array_of({"k-new" + std::string(95, 'x')}));
  run_until([] { return true; });
  EXPECT_EQ(heard_, front.heard.size());
}

TEST_F(CellStateWatch, EndsWithItsClient) {
  watch(R"({"keys":["k"]})");
  next();
  next();
  EXPECT_TRUE(state_watch.has_watch(7));
  client_closed(7);
  EXPECT_FALSE(state_watch.has_watch(7));
  call("state.set", R"({"key":"k","value":1})");
  settle();
  store.invalidate(array_of({"k"}));
  EXPECT_EQ(heard_, front.heard.size());
  EXPECT_EQ(call("state.watch", R"({"keys":["k"]})"), "(later)");
  const rpc::Token token = last_token;
  EXPECT_EQ(call("state.unwatch"), "{}");
  EXPECT_EQ(front.later[token], "{}");
}

TEST_F(CellStateWatch, RefusesWhatOtherProgramsParseAndNothingAtAll) {
  EXPECT_EQ(call("state.watch", "{}"),
            "invalid_params: keys: name at least one key or prefix {\"field\":\"keys\"}");
  for (const char* params : {R"({"keys":["k","robot:state:ook"]})", R"({"prefixes":["node:"]})"}) {
    EXPECT_TRUE(call("state.watch", params).starts_with("refused_key: ")) << params;
  }
  EXPECT_FALSE(state_watch.has_watch(7));
  EXPECT_EQ(store.count("CLIENT"), 0);
}

TEST(KeyChanges, NoPrefixBeginsWithAnother) {
  redis::KeyChanges::Prefixes all;
  const auto add = [&](std::string_view prefix) { redis::KeyChanges::add_prefix(all, prefix); };
  for (const char* prefix : {"abc", "b", "abd", "bc", "b", "abcd"}) add(prefix);
  EXPECT_EQ(all, (redis::KeyChanges::Prefixes{"abc", "b", "abd"}));
  add("ab");
  EXPECT_EQ(all, (redis::KeyChanges::Prefixes{"b", "ab"}));
  std::vector<std::string> many;
  for (int i = 0; i < 31; ++i) many.push_back("c" + std::to_string(100 + i));
  for (size_t i = 0; i < 30; ++i) add(many[i]);
  EXPECT_EQ(all.size(), 32u);
  add(many[30]);
  add("x");
  EXPECT_EQ(all, (redis::KeyChanges::Prefixes{""})) << "all keys";
}

}  // namespace
}  // namespace nb::cell
